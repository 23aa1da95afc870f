"""simple-salesforce: ``upsert`` by Bulk API 2.0, ``read`` by query_all_iter, ``read-bulk`` by Bulk API 2.0."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import requests
from simple_salesforce import Salesforce

FIELDS = "Id, Email, FirstName, LastName, Phone"


class Plain(requests.adapters.HTTPAdapter):
    """The client speaks https only; the emulator of a benchmark speaks http."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, **options)


def main(task: str) -> None:
    host = os.environ["URL"].removeprefix("http://")
    session = requests.Session()
    session.mount(f"https://{host}", Plain())
    began = time.perf_counter()
    org = Salesforce(instance=host, session_id=os.environ["TOKEN"], session=session, version="62.0")
    query = f"SELECT {FIELDS} FROM Contact"
    if task == "upsert":
        with Path(os.environ["ROWS"]).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        jobs = org.bulk2.Contact.upsert(records=rows, external_id_field="MarkMail_Id__c")
        done = sum(job["numberRecordsProcessed"] - job["numberRecordsFailed"] for job in jobs)
    elif task == "read":
        done = sum(1 for _ in org.query_all_iter(query))
    else:
        pages = org.bulk2.Contact.query(query)
        done = sum(sum(1 for _ in csv.reader(io.StringIO(page))) - 1 for page in pages)
    print(json.dumps({"done": done, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(sys.argv[1])
