"""Benchmark of `linnet web`: python3 Benchmarks/peers/web.py [--papers 100000] [--readers 500] [--seconds 60]

Imports synthetic papers, serves them, and prints the listing's and the search's times for one reader at a time (targets: 20 and 60 ms at the
95th percentile), then what many concurrent readers get. Run `make build` first; `make bench-web` does both.
"""
import argparse
import itertools
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

folder = pathlib.Path(__file__).resolve().parent
topics = """attention linear layer state space recurrent kernel gradient sparse low rank quantization distillation retrieval embedding token
sequence transformer convolution diffusion forecasting graph tabular contrastive pruning merging adapter memory gating routing expert
spectral orthogonal random feature scaling pretraining finetuning reasoning alignment vision speech time series optimizer""".split()
syllables = "ra ne lo ti ku ma se po vi du ga fe".split()


def made_up(number):
    word = ""
    while number or not word:
        number, rest = divmod(number, len(syllables))
        word += syllables[rest]
    return word + "n"


def bibliography(count, law):
    """Words drawn by Zipf's law from 30,000, of which the topics are the 30th most frequent and those after it; or all topics alike."""
    chance = random.Random(7)
    words = [made_up(number) for number in range(30_000)]
    words[29:29 + len(topics)] = topics
    if law == "uniform":
        words = topics
    sums = list(itertools.accumulate(1 / (place + 1) if law == "zipf" else 1 for place in range(len(words))))
    for number in range(count):
        title = " ".join(chance.choices(words, cum_weights=sums, k=8)).title()
        abstract = " ".join(chance.choices(words, cum_weights=sums, k=100))
        yield (f"@article{{p{number}, title={{{title} {number}}}, author={{Ann Author and Bo Writer}}, year={{{2000 + number % 26}}}, "
               f"abstract={{{abstract}}}, eprint={{{1000 + number // 100000:04d}.{number % 100000:05d}}}, archivePrefix={{arXiv}}}}\n")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--papers", type=int, default=100_000)
    arguments.add_argument("--readers", type=int, default=500)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--words", choices=["zipf", "uniform"], default="zipf",
                           help="uniform: 47 words, each in most papers, the hardest that a search can meet")
    arguments.add_argument("--linnet", default=str(folder.parents[1] / ".build/release/linnet"))
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as place:
        bib, db = f"{place}/papers.bib", f"{place}/papers.db"
        with open(bib, "w") as file:
            file.writelines(bibliography(options.papers, options.words))
        started = time.monotonic()
        subprocess.run([options.linnet, "papers", "import", bib, "--db", db], check=True, stdout=subprocess.DEVNULL)
        print(f"import of {options.papers} papers: {time.monotonic() - started:.0f} s", flush=True)
        server = subprocess.Popen([options.linnet, "web", "--port", "0", "--db", db, "--results", f"{place}/results"], stdout=subprocess.PIPE, text=True)
        try:
            address = re.search(r"http://\S+", server.stdout.readline()).group()

            def read(readers, seconds, *paths):
                script = [sys.executable, str(folder / "web_readers.py"), address, str(readers), str(seconds), *paths]
                return json.loads(subprocess.run(script, check=True, capture_output=True, text=True).stdout)

            listing = ["/", "/?page=7", "/?sort=trending", "/?sort=title", "/?group=imported", "/?status=listed"]
            search = ["/?q=linear+layer", "/?q=state+space+time+series", "/?q=%22sparse+attention%22", "/?q=retrieval+-graph", "/?q=kernel+year:2010..2020"]
            read(1, 3, *listing, *search)  # the catalogue's tables come into memory
            for name, paths in (("listing", listing), ("search", search)):
                for path, times in read(1, 10, *paths)["milliseconds"].items():
                    print(f"{name:8} {path:36} p50 {times['p50']:7.2f} ms   p95 {times['p95']:7.2f} ms", flush=True)
            crowd = read(options.readers, options.seconds, "/", "/?q=linear+layer", "/p/deltanet", "/results", "/feed.xml", "/trending")
            print(f"{options.readers} readers, {options.seconds:.0f} s: {crowd['requests']} requests, {crowd['errors']} errors {crowd['firstErrors']}")
        finally:
            server.terminate()
            server.wait()


main()
