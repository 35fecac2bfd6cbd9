#!/usr/bin/env python3
"""Removes links of layers whose data is gone; looks at nothing else."""
import os

root = "/opt/registry/data"
for folder, _, names in os.walk(root):
    if "/_layers/sha256/" not in folder or "link" not in names:
        continue
    digest = os.path.basename(folder)
    store = folder[: folder.index("/repositories/")]
    if not os.path.exists(f"{store}/blobs/sha256/{digest[:2]}/{digest}/data"):
        os.remove(os.path.join(folder, "link"))
