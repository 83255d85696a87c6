"""A customer: `python3 order.py tea 2` orders two teas and shows what the shop answers."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

item = sys.argv[1] if len(sys.argv) > 1 else "tea"
count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
url = f"http://localhost:{os.environ.get('PORT', '8080')}/orders"
body = json.dumps({"item": item, "count": count}).encode()
for patience in range(50, -1, -1):
    try:
        with urllib.request.urlopen(url, body) as answer:
            print(answer.read().decode(), end="")
        break
    except urllib.error.HTTPError as error:
        sys.exit(error.read().decode())
    except urllib.error.URLError as error:
        # A shop that opens just now is worth a short wait.
        if not patience:
            sys.exit(f"{url}: {error.reason}")
        time.sleep(0.1)
