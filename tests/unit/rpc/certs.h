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

#endif
