#!/usr/bin/env python3
"""Keeps the newest tags of each repository; a program in Python, whatever its name says."""
import os
import shutil
import sys

keep = int(sys.argv[1])
for folder, _, _ in os.walk("/opt/registry/data"):
    if os.path.basename(folder) != "tags":
        continue
    tags = sorted((os.path.join(folder, name) for name in os.listdir(folder)), key=os.path.getmtime)
    for old in tags[:-keep]:
        shutil.rmtree(old)
