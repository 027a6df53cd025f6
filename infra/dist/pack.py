"""Puts the function and the authorities that it trusts into a zip, as small as deflate allows: Lambda fetches it before every cold start.
Usage: pack.py MATERIALIZER.ZIP BOOTSTRAP AUTHORITIES.PEM"""

import os
import sys

from zipfile import ZIP_DEFLATED

from zopfli import ZipFile

target, bootstrap, authorities = sys.argv[1:]
with ZipFile(target, "w", ZIP_DEFLATED) as archive:
    archive.write(bootstrap, "bootstrap")
    archive.write(authorities, os.path.basename(authorities))
print(f"{target}: {os.path.getsize(target)} bytes")
