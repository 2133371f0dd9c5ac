#!/usr/bin/env python3
"""The corpus in the tree: a line for each input, written as a JSON string.

usage: corpus.py unpack CORPUS FOLDER    a file for each input, as libFuzzer wants
       corpus.py prepare FOLDER          prints what libFuzzer's -merge_inner reads
       corpus.py choose CONTROL CORPUS   writes CORPUS: those inputs that reach code
                                         which no smaller one reaches
"""
import hashlib
import json
import os
import sys

LARGEST = 2000


def unpack(corpus, folder):
    with open(corpus, encoding='ascii') as file:
        for line in file:
            data = json.loads(line).encode()
            with open(os.path.join(folder, hashlib.sha1(data).hexdigest()), 'wb') as file:
                file.write(data)


def prepare(folder):
    paths = [os.path.join(folder, name) for name in os.listdir(folder)]
    paths = sorted((os.path.getsize(p), p) for p in paths)
    paths = [p for size, p in paths if size <= LARGEST and is_text(p)]
    print(len(paths), 0, *paths, sep='\n')


def is_text(path):
    """Can the replay in SQL read it?"""
    with open(path, 'rb') as file:
        data = file.read()
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b'\0' not in data


def choose(control, corpus):
    with open(control, encoding='utf-8') as file:
        lines = file.read().splitlines()
    count = int(lines[0])
    paths = lines[2:2 + count]
    with open(corpus, 'w', encoding='ascii') as out:
        for line in lines[2 + count:]:
            words = line.split()
            # the parts of the code that this input was the first to reach
            if words[:1] == ['COV'] and len(words) > 2:
                with open(paths[int(words[1])], 'rb') as file:
                    out.write(json.dumps(file.read().decode()) + '\n')


{'unpack': unpack, 'prepare': prepare, 'choose': choose}[sys.argv[1]](*sys.argv[2:])
