/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates for tests and nothing else: an authority, a node it signed
 * (node.test, 127.0.0.1; key beside it), and an authority that signed
 * nobody. Good from 2020 to 2120.
 */
#ifndef TESTS_UNIT_RPC_CERTS_H
#define TESTS_UNIT_RPC_CERTS_H

static const char certs_authority[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBWDCB/6ADAgECAhRw6x6kjfWFfeO+QnAbh49oTNOoizAKBggqhkjOPQQDAjAh\n"
    "MR8wHQYDVQQDDBZsaWJ0aWt2IHRlc3QgYXV0aG9yaXR5MCAXDTIwMDEwMTAwMDAw\n"
    "MFoYDzIxMjAwMTAxMDAwMDAwWjAhMR8wHQYDVQQDDBZsaWJ0aWt2IHRlc3QgYXV0\n"
    "aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEG0Ny6EG/+O7MOd8n+f/K\n"
    "3qBOxvhOdYHEfV3XQFSQNd5pqQCKrZwptbCEPapaWIflbtdBUDSv24xaHdLW5LG3\n"
    "maMTMBEwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAZQ1Lg+tEx\n"
    "imuDWzT3xRCF9PBBOhv2XpHi7I1UdtAiBAIhAKBNsDDbTwQnZZBFDo/RRlTfL/26\n"
    "L3JSGc7cW/52ROZb\n"
    "-----END CERTIFICATE-----\n";

static const char certs_node[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBcTCCARegAwIBAgIUB5IjByT8RfZy4xLvMaoOJZ+6QbQwCgYIKoZIzj0EAwIw\n"
    "ITEfMB0GA1UEAwwWbGlidGlrdiB0ZXN0IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAw\n"
    "MDBaGA8yMTIwMDEwMTAwMDAwMFowDzENMAsGA1UEAwwEbm9kZTBZMBMGByqGSM49\n"
    "AgEGCCqGSM49AwEHA0IABJuT4VGrXJ9wOlgNtUbFZNo4O3mFLDP8LI76SVVPXzrc\n"
    "IS03fe+BEsM9KG0Kq/pkOJqUW65VXJVlAGFom8T2rsOjPTA7MBoGA1UdEQQTMBGC\n"
    "CW5vZGUudGVzdIcEfwAAATAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIw\n"
    "CgYIKoZIzj0EAwIDSAAwRQIhANHrud6pAYgX0yjetK9V0iI0mZF4ky4taxoVgBBC\n"
    "+FBGAiAtL0eB7pmQzSMNVkaGE465SI0rGKNZdcaHR4lEsTP98A==\n"
    "-----END CERTIFICATE-----\n";

static const char certs_node_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCcxpONgH+bLebYaT\n"
    "4Mzwq8+Sm2ya313twirQMmNArnqhRANCAASbk+FRq1yfcDpYDbVGxWTaODt5hSwz\n"
    "/CyO+klVT1863CEtN33vgRLDPShtCqv6ZDialFuuVVyVZQBhaJvE9q7D\n"
    "-----END PRIVATE KEY-----\n";

static const char certs_stranger[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBTjCB9aADAgECAhQDB6qdH9Xf6vjJhDtDs3tGAOsq/TAKBggqhkjOPQQDAjAc\n"
    "MRowGAYDVQQDDBFhbm90aGVyIGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8y\n"
    "MTIwMDEwMTAwMDAwMFowHDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwWTAT\n"
    "BgcqhkjOPQIBBggqhkjOPQMBBwNCAASllRBqKYdAk+2kJaa8Az7NCIdGfYYbfQJJ\n"
    "d7S7lb1acNiGCwBMiTMqazgy33hBYvyOlc+LqQoOkW6Ro3HYMHwYoxMwETAPBgNV\n"
    "HRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQCXlOnI+pxGAfVN+m6JIZEc\n"
    "wQnTJeGDOkRlv6CzNl+NKQIgMdBoInbh1uyk3kj1TrY/+BqNT3o2JMU1q4NY1HuX\n"
    "kxs=\n"
    "-----END CERTIFICATE-----\n";

/* A second family: an authority, a node of it (store-b; node.test,
 * 127.0.0.1), the same node's certificate that ended with 2020, and a node
 * with an RSA key in both of its spellings. */
static const char certs_authority_b[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBaDCCAQ+gAwIBAgIBATAKBggqhkjOPQQDAjAjMSEwHwYDVQQDDBhsaWJ0aWt2\n"
    "IHRlc3QgYXV0aG9yaXR5IGIwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAw\n"
    "MDBaMCMxITAfBgNVBAMMGGxpYnRpa3YgdGVzdCBhdXRob3JpdHkgYjBZMBMGByqG\n"
    "SM49AgEGCCqGSM49AwEHA0IABKseKT5qa4oUUf1yCkzJ4MLmcGGZcUAZ2LY5FJtY\n"
    "Y7xeLJ011O9yztGdQn5gTPH5UypNoH5PC4pxi4C9uxCBeLajMjAwMA8GA1UdEwEB\n"
    "/wQFMAMBAf8wHQYDVR0OBBYEFHm+HaWki9ZLmceqr3/+QZxb8Rm7MAoGCCqGSM49\n"
    "BAMCA0cAMEQCIGsZKzhC7tdOwLGzwF5VssuhfXjWwxQ7zPzmKQQY1jRmAiBzaI4v\n"
    "SAz+tUYI5Ivam1SRVpFwFdaNgKCzDGtd2GNgXA==\n"
    "-----END CERTIFICATE-----\n";

static const char certs_node_b[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBozCCAUmgAwIBAgIBAjAKBggqhkjOPQQDAjAjMSEwHwYDVQQDDBhsaWJ0aWt2\n"
    "IHRlc3QgYXV0aG9yaXR5IGIwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAw\n"
    "MDBaMBIxEDAOBgNVBAMMB3N0b3JlLWIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
    "AAQocjB0jvT+dzwW6w39dq/mqJJM+arLQRvKvVLNxGDt+tGwziyoQbGEAFxB6NaD\n"
    "zTVxKIgEZyaiOGTRdjWL/5u5o30wezAaBgNVHREEEzARgglub2RlLnRlc3SHBH8A\n"
    "AAEwHQYDVR0lBBYwFAYIKwYBBQUHAwEGCCsGAQUFBwMCMB0GA1UdDgQWBBQ0YjDH\n"
    "1NmYbs0LtnYLzPSbXsUujDAfBgNVHSMEGDAWgBR5vh2lpIvWS5nHqq9//kGcW/EZ\n"
    "uzAKBggqhkjOPQQDAgNIADBFAiAgCqmGITfdNYaWhRk4fAjY7siNZBmdiYQrxATa\n"
    "hHegKQIhAL4yMxXp8KUrSXOewL8x+eb44ZvLC3zx1hduQetkJjIe\n"
    "-----END CERTIFICATE-----\n";

static const char certs_node_b_old[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBoTCCAUegAwIBAgIBAzAKBggqhkjOPQQDAjAjMSEwHwYDVQQDDBhsaWJ0aWt2\n"
    "IHRlc3QgYXV0aG9yaXR5IGIwHhcNMjAwMTAxMDAwMDAwWhcNMjEwMTAxMDAwMDAw\n"
    "WjASMRAwDgYDVQQDDAdzdG9yZS1iMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n"
    "KHIwdI70/nc8FusN/Xav5qiSTPmqy0Ebyr1SzcRg7frRsM4sqEGxhABcQejWg801\n"
    "cSiIBGcmojhk0XY1i/+buaN9MHswGgYDVR0RBBMwEYIJbm9kZS50ZXN0hwR/AAAB\n"
    "MB0GA1UdJQQWMBQGCCsGAQUFBwMBBggrBgEFBQcDAjAdBgNVHQ4EFgQUNGIwx9TZ\n"
    "mG7NC7Z2C8z0m17FLowwHwYDVR0jBBgwFoAUeb4dpaSL1kuZx6qvf/5BnFvxGbsw\n"
    "CgYIKoZIzj0EAwIDSAAwRQIgBDKi9HxUPEfT9xxv68OcWDK6CuZj5L8AM0BuPVP1\n"
    "66ACIQDNP6SbkxtyvUvin42tRKmDo2EEg5+6UDkSMUJx5+JhFQ==\n"
    "-----END CERTIFICATE-----\n";

static const char certs_node_b_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgR5vxhfcrW34H9AV/\n"
    "blfg5G1gb5zFCH5dqWY11Wv9zS2hRANCAAQocjB0jvT+dzwW6w39dq/mqJJM+arL\n"
    "QRvKvVLNxGDt+tGwziyoQbGEAFxB6NaDzTVxKIgEZyaiOGTRdjWL/5u5\n"
    "-----END PRIVATE KEY-----\n";

static const char certs_node_b_key_sec1[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIEeb8YX3K1t+B/QFf25X4ORtYG+cxQh+XalmNdVr/c0toAoGCCqGSM49\n"
    "AwEHoUQDQgAEKHIwdI70/nc8FusN/Xav5qiSTPmqy0Ebyr1SzcRg7frRsM4sqEGx\n"
    "hABcQejWg801cSiIBGcmojhk0XY1i/+buQ==\n"
    "-----END EC PRIVATE KEY-----\n";

static const char certs_rsa[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIICcTCCAhagAwIBAgIBBDAKBggqhkjOPQQDAjAjMSEwHwYDVQQDDBhsaWJ0aWt2\n"
    "IHRlc3QgYXV0aG9yaXR5IGIwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAw\n"
    "MDBaMBQxEjAQBgNVBAMMCXN0b3JlLXJzYTCCASIwDQYJKoZIhvcNAQEBBQADggEP\n"
    "ADCCAQoCggEBAJfS1uJdf3Hp4Th+zY/iqlq3KiPwh5u6R+L7FrjD3SXcioBBS3hJ\n"
    "/Xk1Xl08daZswUreLGS4AkegEixfYeoKvt5Mg22tLmAyed3TF3PfujOyfNJLD5hm\n"
    "w702ltjrVaRzR9VzI11iIRMrfpT8KrfIjndkcHB5nNZt/3LDG+gltl/qQhoo53tz\n"
    "Nd8bX+/ENPQY6TVSZdcBogxgfpIkDf5F/JFTHaGdJvZ5x0hVSQ8MINwd6SuSPZ/D\n"
    "Vg/hIAAAcPjqGHsM1RFIcc9PL4/u8V5vcaQJhRlRnbpJTLiB7JN+o6xVc/dFQtB3\n"
    "Wd0D/066ISxN5z1tUFkfTqOLaxrObn24M8cCAwEAAaN9MHswGgYDVR0RBBMwEYIJ\n"
    "bm9kZS50ZXN0hwR/AAABMB0GA1UdJQQWMBQGCCsGAQUFBwMBBggrBgEFBQcDAjAd\n"
    "BgNVHQ4EFgQUeTflAo7bKOjAwV2/k7PjekB9V/0wHwYDVR0jBBgwFoAUeb4dpaSL\n"
    "1kuZx6qvf/5BnFvxGbswCgYIKoZIzj0EAwIDSQAwRgIhAPg17LqeXBB792t9Sjqb\n"
    "MKf5xZWcWXkdkYIRSlGHmUwtAiEA5psTBxVFNCAOPDIjyy+0t8soa1QmVNhjsgBw\n"
    "F9HCi3A=\n"
    "-----END CERTIFICATE-----\n";

static const char certs_rsa_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCX0tbiXX9x6eE4\n"
    "fs2P4qpatyoj8Iebukfi+xa4w90l3IqAQUt4Sf15NV5dPHWmbMFK3ixkuAJHoBIs\n"
    "X2HqCr7eTINtrS5gMnnd0xdz37ozsnzSSw+YZsO9NpbY61Wkc0fVcyNdYiETK36U\n"
    "/Cq3yI53ZHBweZzWbf9ywxvoJbZf6kIaKOd7czXfG1/vxDT0GOk1UmXXAaIMYH6S\n"
    "JA3+RfyRUx2hnSb2ecdIVUkPDCDcHekrkj2fw1YP4SAAAHD46hh7DNURSHHPTy+P\n"
    "7vFeb3GkCYUZUZ26SUy4geyTfqOsVXP3RULQd1ndA/9OuiEsTec9bVBZH06ji2sa\n"
    "zm59uDPHAgMBAAECggEACWIoEsyJjG5Sk63OoaZ2Ne4dJiR/FSJhwAcZw+ijGex0\n"
    "CPJAKlqUVnH0d5m9gcA2AB0ULFNtHKUpimGIyTDJ1C5xbw1lkN99xbZ+vBQnS3us\n"
    "GEk4WQh874xYrWZ6IBRZ67jWhjaC6c7l32pob3xvRbTI+EKj7WLWB29Eocf26h2V\n"
    "cXhe1ovRYEm1GTTcnjqZfyzT5i0Mc+9Mhg8amfCJgYONTXmBfjiHsGXf+FMCYxxz\n"
    "nWzOQZlm9Omgx6ewH/QjIs0dkxpRdouWF5GtowLsOJDnpZIeaOxTCmFBV6O2/SL3\n"
    "2f62Y0fECLnsRMpPaSWe3GLeVPKI9zyG1QWhpcZcdQKBgQDUWN+eJVundFwVY5fK\n"
    "0V2mZLXSX8C/4nbaL1r/I30mvq0l8foy9gokrzsqXtFicG3tsHMJ0OIVwO/kaOX9\n"
    "d1XnGVtU6PNBUBy+9O4CZ1jwhR+Oo/NOgpexHzM62HT6C2LihdGHVLRZ52IEoGg4\n"
    "vQsWopl2O2oS0Zce3BUndVYx1QKBgQC3CM+qi9378IJXCRA0uWQ3rIjKAk0i8mfD\n"
    "tiQPErWoJ/eq9QNOhjvAf0eqUh91cj0xboShV+RYNeCZNMtmOYsmOvdYxNPv4aGS\n"
    "cLxozoo+ib/DC40ktiV1ohLkG/xx/RlPz2Xd7dTt6nLcxduUueaSKSTlF97DTue/\n"
    "dZXfo9wBKwKBgQC3qz+QXKPQTZcwcPpkVX95YvbZxjTERC+lPPyqXpnrn1XI0mol\n"
    "Fidj36V/WpAlYzXSN6LpRKGpSz60A/+ao1PMFmSnJu7w+UhD6zrLHXUSZTMMf8b9\n"
    "i3uFmoUHSx6zAJJBeJnpQlzUvoxLkCtVmD41D+NJHs77BAqAiMBLZvRtGQKBgGmU\n"
    "n5XVUJt/xO/Hvp1rQ7AJym4cnbpG8iwm6O348OirBWaMJvgo3lbQFNrevF7XIw1c\n"
    "nw0i0glAKuq1VY8GKopHAV8nSsnY8YazmTsryPsCIqe0BhrjJwCQGS2UJy7pvKwZ\n"
    "Cr3V7zm+P7uyNlO4WJR/P1UXS9yFq5D5lxaGQuY5AoGAQx4DmAfZy6s0NrWLXmZK\n"
    "CpgtD35auElqJx7dT4o0NvurtWg7tAtPVPg11cKcsdAwsvF0eZv5aTkerWYtMBYw\n"
    "0Wj6dE0irmtMnh0rsWGNJH9b+z/fw0wu4++y9BjqpgXqmmKbMZGVWPU5GtlZSvX0\n"
    "qSgT6aW0czxYoCMnrXUlggk=\n"
    "-----END PRIVATE KEY-----\n";

static const char certs_rsa_key_pkcs1[] =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIEowIBAAKCAQEAl9LW4l1/cenhOH7Nj+KqWrcqI/CHm7pH4vsWuMPdJdyKgEFL\n"
    "eEn9eTVeXTx1pmzBSt4sZLgCR6ASLF9h6gq+3kyDba0uYDJ53dMXc9+6M7J80ksP\n"
    "mGbDvTaW2OtVpHNH1XMjXWIhEyt+lPwqt8iOd2RwcHmc1m3/csMb6CW2X+pCGijn\n"
    "e3M13xtf78Q09BjpNVJl1wGiDGB+kiQN/kX8kVMdoZ0m9nnHSFVJDwwg3B3pK5I9\n"
    "n8NWD+EgAABw+OoYewzVEUhxz08vj+7xXm9xpAmFGVGduklMuIHsk36jrFVz90VC\n"
    "0HdZ3QP/TrohLE3nPW1QWR9Oo4trGs5ufbgzxwIDAQABAoIBAAliKBLMiYxuUpOt\n"
    "zqGmdjXuHSYkfxUiYcAHGcPooxnsdAjyQCpalFZx9HeZvYHANgAdFCxTbRylKYph\n"
    "iMkwydQucW8NZZDffcW2frwUJ0t7rBhJOFkIfO+MWK1meiAUWeu41oY2gunO5d9q\n"
    "aG98b0W0yPhCo+1i1gdvRKHH9uodlXF4XtaL0WBJtRk03J46mX8s0+YtDHPvTIYP\n"
    "GpnwiYGDjU15gX44h7Bl3/hTAmMcc51szkGZZvTpoMensB/0IyLNHZMaUXaLlheR\n"
    "raMC7DiQ56WSHmjsUwphQVejtv0i99n+tmNHxAi57ETKT2klntxi3lTyiPc8htUF\n"
    "oaXGXHUCgYEA1FjfniVbp3RcFWOXytFdpmS10l/Av+J22i9a/yN9Jr6tJfH6MvYK\n"
    "JK87Kl7RYnBt7bBzCdDiFcDv5Gjl/XdV5xlbVOjzQVAcvvTuAmdY8IUfjqPzToKX\n"
    "sR8zOth0+gti4oXRh1S0WediBKBoOL0LFqKZdjtqEtGXHtwVJ3VWMdUCgYEAtwjP\n"
    "qovd+/CCVwkQNLlkN6yIygJNIvJnw7YkDxK1qCf3qvUDToY7wH9HqlIfdXI9MW6E\n"
    "oVfkWDXgmTTLZjmLJjr3WMTT7+GhknC8aM6KPom/wwuNJLYldaIS5Bv8cf0ZT89l\n"
    "3e3U7epy3MXblLnmkikk5Rfew07nv3WV36PcASsCgYEAt6s/kFyj0E2XMHD6ZFV/\n"
    "eWL22cY0xEQvpTz8ql6Z659VyNJqJRYnY9+lf1qQJWM10jei6UShqUs+tAP/mqNT\n"
    "zBZkpybu8PlIQ+s6yx11EmUzDH/G/Yt7hZqFB0seswCSQXiZ6UJc1L6MS5ArVZg+\n"
    "NQ/jSR7O+wQKgIjAS2b0bRkCgYBplJ+V1VCbf8Tvx76da0OwCcpuHJ26RvIsJujt\n"
    "+PDoqwVmjCb4KN5W0BTa3rxe1yMNXJ8NItIJQCrqtVWPBiqKRwFfJ0rJ2PGGs5k7\n"
    "K8j7AiKntAYa4ycAkBktlCcu6bysGQq91e85vj+7sjZTuFiUfz9VF0vchauQ+ZcW\n"
    "hkLmOQKBgEMeA5gH2curNDa1i15mSgqYLQ9+WrhJaice3U+KNDb7q7VoO7QLT1T4\n"
    "NdXCnLHQMLLxdHmb+Wk5Hq1mLTAWMNFo+nRNIq5rTJ4dK7FhjSR/W/s/38NMLuPv\n"
    "svQY6qYF6ppimzGRlVj1ORrZWUr19KkoE+mltHM8WKAjJ611JYIJ\n"
    "-----END RSA PRIVATE KEY-----\n";

#endif
