#!/usr/bin/env python3
"""Makes inputs of the fuzzer from the official JSON Schema test suite.

usage: seeds.py SUITE FOLDER     writes FOLDER/schema, FOLDER/regex, FOLDER/format
"""
import glob
import hashlib
import json
import os
import sys

DIALECTS = ['draft4', 'draft6', 'draft7', 'draft2019-09', 'draft2020-12', 'v1']
LARGEST = 4000


def write(folder, text):
    data = text.encode('utf-8', 'surrogatepass')
    if len(data) <= LARGEST:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, hashlib.sha1(data).hexdigest()), 'wb') as file:
            file.write(data)


def values_of(schema, keyword):
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == keyword and isinstance(value, str):
                yield value
            if key == keyword + 'Properties' and isinstance(value, dict):
                yield from value
            yield from values_of(value, keyword)
    elif isinstance(schema, list):
        for value in schema:
            yield from values_of(value, keyword)


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(',', ':'))


def main():
    suite, folder = sys.argv[1:]
    previous = True
    for number, draft in enumerate(DIALECTS):
        for path in sorted(glob.glob(os.path.join(suite, 'tests', draft, '**', '*.json'), recursive=True)):
            # 8: formats are asserted
            letter = '01234589:;<='[number + (6 if 'optional' in path else 0)]
            with open(path, encoding='utf-8') as file:
                groups = json.load(file)
            for group in groups:
                schema = group['schema']
                patterns = list(values_of(schema, 'pattern'))
                formats = list(values_of(schema, 'format'))
                for test in group['tests']:
                    text = letter + dump(schema) + '\n' + dump(test['data'])
                    write(os.path.join(folder, 'schema'), text + '\n' + dump(previous))
                    if isinstance(test['data'], str):
                        for pattern in patterns:
                            write(os.path.join(folder, 'regex'), pattern + '\n' + test['data'])
                        if formats:
                            write(os.path.join(folder, 'format'), test['data'])
                previous = schema


main()
