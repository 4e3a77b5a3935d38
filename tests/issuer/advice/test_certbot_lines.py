"""Lines that `certbot --nginx` left in nginx's configuration, and what to do about each."""

from pathlib import Path
from typing import Final

from wellkeeper_issuer.advice.certbot_lines import CertbotLine, Kind, find_certbot_lines

FOLDER: Final = Path("/etc/letsencrypt")
SITE: Final = "/etc/nginx/sites-enabled/shop"
# As certbot 2.1 with --redirect writes it.
WRITTEN: Final = """server {
    server_name shop.example.org;
    root /var/www;

    listen 443 ssl; # managed by Certbot
    ssl_certificate /etc/letsencrypt/live/shop.example.org/fullchain.pem; # managed by Certbot
    ssl_certificate_key /etc/letsencrypt/live/shop.example.org/privkey.pem; # managed by Certbot
    include /etc/letsencrypt/options-ssl-nginx.conf; # managed by Certbot
    ssl_dhparam /etc/letsencrypt/ssl-dhparams.pem; # managed by Certbot

}
server {
    if ($host = shop.example.org) {
        return 301 https://$host$request_uri;
    } # managed by Certbot


    listen 80;
    server_name shop.example.org;
    return 404; # managed by Certbot


}
"""


def test_redirects_and_files_are_found_with_their_lines() -> None:
    assert find_certbot_lines({SITE: WRITTEN}, FOLDER) == [
        CertbotLine(SITE, 8, "include /etc/letsencrypt/options-ssl-nginx.conf;", Kind.FILE),
        CertbotLine(SITE, 9, "ssl_dhparam /etc/letsencrypt/ssl-dhparams.pem;", Kind.FILE),
        CertbotLine(SITE, 13, "if ($host = shop.example.org) {", Kind.REDIRECT),
        CertbotLine(SITE, 20, "return 404;", Kind.REDIRECT),
    ]


def test_certificates_are_left_to_the_paths_that_the_report_lists() -> None:
    text = "ssl_certificate /etc/letsencrypt/live/a/fullchain.pem;\nssl_stapling_file /etc/letsencrypt/live/a/x;"
    assert find_certbot_lines({SITE: text}, FOLDER) == []


def test_versions_in_the_archive_and_quoted_paths_are_files_of_certbot() -> None:
    text = 'ssl_certificate "/etc/letsencrypt/archive/a/fullchain3.pem";\n'
    (found,) = find_certbot_lines({SITE: text}, FOLDER)
    assert (found.line, found.kind) == (1, Kind.FILE)


def test_comments_other_folders_and_certbots_own_files_are_not_reported() -> None:
    files = {
        SITE: "# include /etc/letsencrypt/options-ssl-nginx.conf;\ninclude /etc/letsencrypt-old/x.conf;\n",
        f"{FOLDER}/options-ssl-nginx.conf": "# return 301; managed by Certbot\nssl_dhparam /etc/letsencrypt/x.pem;\n",
    }
    assert find_certbot_lines(files, FOLDER) == []


def test_redirect_that_a_person_wrote_is_not_reported() -> None:
    assert find_certbot_lines({SITE: "return 301 https://$host$request_uri;\n"}, FOLDER) == []


def test_lines_are_counted_as_nginx_counts_them() -> None:
    text = "# a\u2028b\x0cc\nssl_dhparam /etc/letsencrypt/dh.pem;\r\n"
    assert find_certbot_lines({SITE: text}, FOLDER) == [
        CertbotLine(SITE, 2, "ssl_dhparam /etc/letsencrypt/dh.pem;", Kind.FILE)
    ]
