"""Vectors of tenant keys, by the Python package blake3. Run: python3 tenants.py > tenants.json (needs
`pip install blake3==1.0.11`)."""

import json

import blake3


def tenant_key(key, name):
    subkey = blake3.blake3(key, derive_key_context="touchmark 2026-11 tenant keys v1").digest()
    return blake3.blake3(name.encode(), key=subkey).digest()


cases = []
for key in (bytes(32), bytes((7 * i + 1) % 256 for i in range(32))):
    for name in ("a", "acme-corp", "~" * 128):
        cases.append({"key": key.hex(), "tenant": name, "tenant_key": tenant_key(key, name).hex()})
comment = "Tenant keys, made by tenants.py: the Python package blake3 1.0.11. Keys in hexadecimal."
print(json.dumps({"_comment": comment, "cases": cases}, indent=0))
