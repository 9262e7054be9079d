"""Published vectors, typed in from where each table says: a few of every kind. Octets are in base64."""

# RFC 8032 section 7.1: seed, public key, message, signature
RFC8032 = [
    (
        "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "",
        "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==",
    ),
    (
        "TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=",
        "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
        "cg==",
        "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA==",
    ),
    (
        "xaqN9D+fg3vtt0QvMdy3sWbThTUHbwlLhc46LgtEWPc=",
        "/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU=",
        "r4I=",
        "YpHWV97sJAJIJ+acOr4BowzlSKKEdDpEXjaA19taw6wY/5tTjRbykK5n92CYTcZZSnwV6XFu0o3AJ77O6h7ECg==",
    ),
]

# Project Wycheproof (Apache-2.0) at 507bb993e90a, testvectors_v1/ed25519_test.json: flag, public key, message, signature, valid
WYCHEPROOF = [
    (
        "Valid",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "",
        "1PvbUr+nJrRNF4aowNFxw+YsqDyeW75j3guySD+P1swUKatyyvxBq1avAv+PzEO5m/5MeulA9g8466qdMRxABw==",
        True,
    ),
    (
        "Valid",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "eA==",
        "2Ac3NY7eVIrLFz734Dmfgzkv6BJbLOh33nl12Lcm71sedmMigO44r60SEl6kS5Yb+S8ReMn6gZ0CCGmXW8vhCQ==",
        True,
    ),
    (
        "InvalidSignature",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "Pw==",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
        False,
    ),
    (
        "InvalidSignature",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "Pw==",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
        False,
    ),
    ("TruncatedSignature", "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=", "VGVzdA==", "", False),
    (
        "TruncatedSignature",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "VGVzdA==",
        "fDjgJvKeFKq9BZoPLbiwzXgwQGCai+aE2xL4Kid3SrA=",
        False,
    ),
    (
        "SignatureWithGarbage",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "VGVzdA==",
        "fDjgJvKeFKq9BZoPLbiwzXgwQGCai+aE2xL4Kid3SrB6kVVxHs+vf5nyd7rQxq5+OdTu9nZXMzalxR62+UazDSAg",
        False,
    ),
    (
        "SignatureWithGarbage",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "VGVzdA==",
        (
            "fDjgJvKeFKq9BZoPLbiwzXgwQGCai+aE2xL4Kid3SrB6kVVxHs+vf5nyd7rQxq5+OdTu9nZXMzalxR62+UazDX1NDn9hU6abYkK1"
            "Iqu+5oX9pEIPiDSxCMO9rjae9Un6"
        ),
        False,
    ),
    (
        "CompressedSignature",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "VGVzdDE3",
        "k948olJCbJX3Ncue3ZLoMyGsYjctWqWzeXhrrhEatrFyUTMOj5p8MNaZMTfFlgB9ewAUCSh1NaxIBOZivFij",
        False,
    ),
    (
        "CompressedSignature",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "VGVzdDEyNg==",
        "3/7TOn9CC2K7FzHP0DvoBa/9GKKB7AKxBnum6dIIJlaedCNH31nIiultsfGWn7GJsOw0OB2FYz4YidpI2V4O",
        False,
    ),
    (
        "InvalidEncoding",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "MTIzNDAw",
        "ZHwUkkAqtc4D4sOn8DhNBRuc81cPEgf8eMG8yYwoHCsdEl5VOPOK+8wchOSJUhCDBB0kvGJAdnAp2gYycaH/DA==",
        False,
    ),
    (
        "InvalidEncoding",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "MTIzNDAw",
        "Z3wUkkAqtc4D4sOn8DhNBRuc81cPEgf8eMG8yYwoHCvBCMpLh6ScntLPODrsrY9UqWKyiZ2okeEgBNeZOmJ+AQ==",
        False,
    ),
    (
        "SignatureMalleability",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "VGVzdA==",
        "fDjgJvKeFKq9BZoPLbiwzXgwQGCai+aE2xL4Kid3SrBnZUvOODLC12+Pb12vwI2TOdTu9nZXMzalxR62+UazHQ==",
        False,
    ),
    (
        "SignatureMalleability",
        "fU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        "VGVzdA==",
        "fDjgJvKeFKq9BZoPLbiwzXgwQGCai+aE2xL4Kid3SrBUOUErU5XUL0YsZwCOumyoOdTu9nZXMzalxR62+UazLQ==",
        False,
    ),
    (
        "Ktv",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "",
        "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==",
        True,
    ),
    (
        "Ktv",
        "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
        "cg==",
        "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA==",
        True,
    ),
    (
        "InvalidKtv",
        "EA/fR/uU8VNqT3w/2ic4P6Azdaj1J8U35vFwPEf5T4Y=",
        "agvCsAV87fwPouP399OSebMPRUpp39ERfHWNhrGdheA=",
        "CXH4bSyceFglJKEDy5z5SVIq5Sj4BU3CAQfZmb5nP/TiXr8vKSh2axJIvsbpFpd3X4RGY57eRq1N9AUwAAAAEA==",
        False,
    ),
    (
        "TinkOverflow",
        "Sr+1NTE3BaZXABhEDN7Bo64z5R81IRL6asvQxrw+qFk=",
        "MhtfZjwZ4w7nu7heSOz0TbnT9RI=",
        "8pZxXoVdiuzMungrZwFj3txEWP5OtQmoVrysRQkg/S6Vo6PrIS0tnMr5SMOa5GolSK8SX44q2bd70Y+S1Z+SAA==",
        True,
    ),
    (
        "TinkOverflow",
        "TyFi5r8DpxLbDvpBi35wBuI4cdnX7FVaMTiFxK/ZY4U=",
        "xIiQ6Srus68EhYqNwdNPFqQ0e5E=",
        "Nn0HJTqdWnfQVLnBqC08CkSKUZBTQzILNVkyXvQYOWCKpFVkl42hspaMVWz7I7DJipvoPllNXnadadEVbhsVBg==",
        True,
    ),
]

# C2SP/CCTV (BSD-1-Clause) at 1e3d2860d46e, ed25519/ed25519vectors.json: flags that decide, key, message, signature
CCTV = [
    (
        "low_order_A low_order_residue",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "ed25519vectors 3",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    ),
    (
        "low_order_A",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "ed25519vectors 11",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    ),
    (
        "low_order_residue",
        "EOt8Os+yvtPg1quJv1o9av3dEXbOSBLjjZ/UhQWP2x8=",
        "ed25519vectors 7",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABeF28Sz7DU5utpKbGa5MmY7wXBws9iipsfocITEmJxCA==",
    ),
    (
        "",
        "EOt8Os+yvtPg1quJv1o9av3dEXbOSBLjjZ/UhQWP2x8=",
        "ed25519vectors 3",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACUcqac2acBpQ0TDtUhieJFWyN2fbUsrLhxb7iW/+6sCQ==",
    ),
    (
        "",
        "EOt8Os+yvtPg1quJv1o9av3dEXbOSBLjjZ/UhQWP2x8=",
        "ed25519vectors",
        "NmhOqRAyulsdurLQL03rx0wzJ/KzgC4uTTcapCsStWu7/QC9nCWdjSItFeZ6PYIoWFBQ27m5WFviDY+txyHaAw==",
    ),
    (
        "low_order_A non_canonical_A low_order_residue",
        "7f///////////////////////////////////////38=",
        "ed25519vectors 8",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    ),
    (
        "low_order_A non_canonical_A",
        "7f///////////////////////////////////////38=",
        "ed25519vectors 6",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    ),
    (
        "low_order_A non_canonical_R low_order_residue",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "ed25519vectors 3",
        "7f///////////////////////////////////////38AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    ),
    (
        "low_order_A non_canonical_R",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "ed25519vectors 10",
        "7f///////////////////////////////////////38AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    ),
    (
        "non_canonical_R low_order_residue",
        "EOt8Os+yvtPg1quJv1o9av3dEXbOSBLjjZ/UhQWP2x8=",
        "ed25519vectors 6",
        "7f///////////////////////////////////////38ctCHfvZKqbDDVUL/1PIHPZQrObeuWqOwi0v74TbviCw==",
    ),
    (
        "non_canonical_R",
        "EOt8Os+yvtPg1quJv1o9av3dEXbOSBLjjZ/UhQWP2x8=",
        "ed25519vectors 3",
        "7f///////////////////////////////////////3+tejVUabXIflUEafay3kCe5yOs1YS/NfhrgMOE6M63Ag==",
    ),
    (
        "low_order_A non_canonical_A non_canonical_R low_order_residue",
        "7f///////////////////////////////////////38=",
        "ed25519vectors 2",
        "7f///////////////////////////////////////38AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    ),
    (
        "low_order_A non_canonical_A non_canonical_R",
        "7f///////////////////////////////////////38=",
        "ed25519vectors 15",
        "7f///////////////////////////////////////38AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    ),
    (
        "",
        "EOt8Os+yvtPg1quJv1o9av3dEXbOSBLjjZ/UhQWP2x8=",
        "ed25519vectors 10",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIAFCr/81NjMu0uNa/Zkn1qpno3lzBgqdAljOFb/U/SeDA==",
    ),
]

# secure-systems-lab/dsse (Apache-2.0) at eebf7b59b17a, protocol.md and implementation/signing_spec.py
DSSE_TYPE = "http://example.com/HelloWorld"
DSSE_PAYLOAD = b"hello world"
DSSE_PAE = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
DSSE_ECDSA_X = 46950820868899156662930047687818585632848591499744589407958293238635476079160
DSSE_ECDSA_Y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
DSSE_ENVELOPE = (
    b'{"payload":"aGVsbG8gd29ybGQ=","payloadType":"http://example.com/HelloWorld","signatures":[{"sig":"A3'
    b'JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}'
)

# golang.org/x/mod (BSD-3-Clause) at fe2ec04f7c3c, sumdb/note/note_test.go
SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
BY_PETER = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
BY_ENOCH = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
BAD_VKEYS = [
    "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
    "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
    "eterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
]

# C2SP (CC-BY-4.0) at 5ba5ee830903: signed-note.md, tlog-checkpoint.md, tlog-cosignature.md
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7"
    "Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
CHECKPOINT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
CHECKPOINT_SIGNATURES = (
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGk"
    "u9nTo+zyWE+xeMcTOAYQ8=\n— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OW"
    "XEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)

# golang.org/x/mod, sumdb/tlog/note_test.go
GO_GOSUM = "go.sum database tree\n123456789012\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n"
GO_HEX_SIZE = "go.sum database tree\n0xabcdef\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n"
GO_LONG_ROOT = "go.sum database tree\n123456789012\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBTOOBIG=\n"
