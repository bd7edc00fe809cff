#!/usr/bin/env python3
"""Runs lm-evaluation-harness, through transformers, on local data and keeps what each item gave.

    python3 -m venv v && v/bin/pip install torch transformers lm_eval
    v/bin/python tools/reference_tasks.py --model models/karat-tiny --data ../shared/data/zeroshot \
        --out tests/fixtures/tasks/lm_eval.json

tests/tasks_test.py compares `karat evaluate --tasks` with the file. It holds log-likelihoods and what
the model wrote, by the item's number, and no text of the data. Each set is written to a temporary
file in the fields that the harness' own task file reads; prompts, splits and metrics are the
harness'. Offline: nothing is fetched.
"""
import argparse
import csv
import json
import os
import pathlib
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

LIMIT = 50
LETTERS = "ABCDE"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def arc(row):
    labels = list(LETTERS[:len(row["choices"])])
    return {"question": row["query"].removeprefix("Question: "), "answerKey": labels[row["gold"]],
            "choices": {"text": row["choices"], "label": labels}}


def openbook(row):
    labels = list(LETTERS[:len(row["choices"])])
    return {"question_stem": row["query"], "answerKey": labels[row["gold"]],
            "choices": {"text": row["choices"], "label": labels}}


def boolq(row):
    passage, question = row["query"].removeprefix("Passage: ").rsplit("\nQuestion: ", 1)
    return {"passage": passage, "question": question.removesuffix("?"), "label": row["gold"]}


def copa(row):
    premise, connector = row["query"].rsplit(" ", 1)
    return {"premise": premise + ".", "question": {"therefore": "effect", "because": "cause"}[connector],
            "choice1": row["choices"][0], "choice2": row["choices"][1], "label": row["gold"]}


def common_ends(a, b):
    """The options of two contexts that differ in their last words alone."""
    at = len(os.path.commonprefix([a, b]))
    at = a.rfind(" ", 0, at) + 1
    return a[:at], a[at:], b[at:]


def winogrande(row):
    before, one, two = common_ends(*row["context_options"])
    return {"sentence": f"{before}_ {row['continuation']}", "option1": one, "option2": two,
            "answer": str(row["gold"] + 1)}


def wsc(row):
    before, one, two = common_ends(*row["context_options"])
    return {"text": f"{before}it {row['continuation']}", "pronoun": "it", "pronoun_loc": len(before),
            "options": [one, two], "label": row["gold"]}


def piqa(row):
    if "goal" in row:
        return row
    return {"goal": row["query"].removeprefix("Question: ").removesuffix("\n"), "sol1": row["choices"][0],
            "sol2": row["choices"][1], "label": row["gold"]}


def gsm8k(row):
    return {"question": row["context"], "answer": f"{row['chain_of_thought']}\n#### {row['answer']}"}


def lambada(row):
    return {"text": f"{row['context']} {row['continuation']}"}


# Karat's task -> file of the data, the harness' task file, the row in the harness' fields
SETS = {
    "piqa": ("piqa.jsonl", "piqa/piqa.yaml", piqa),
    "arc_easy": ("arc_easy.jsonl", "arc/arc_easy.yaml", arc),
    "arc_challenge": ("arc_challenge.jsonl", "arc/arc_challenge.yaml", arc),
    "boolq": ("boolq.jsonl", "super_glue/boolq/default.yaml", boolq),
    "openbookqa": ("openbook_qa.jsonl", "openbookqa/openbookqa.yaml", openbook),
    "copa": ("copa.jsonl", "super_glue/copa/default.yaml", copa),
    "winogrande": ("winogrande.jsonl", "winogrande/default.yaml", winogrande),
    "winograd_wsc": ("winograd_wsc.jsonl", "wsc273/default.yaml", wsc),
    "lambada_openai": ("lambada_openai.jsonl", "lambada/lambada_openai.yaml", lambada),
    "gsm8k": ("gsm8k.jsonl", "gsm8k/gsm8k.yaml", gsm8k),
    "hellaswag": ("hellaswag.jsonl", "hellaswag/hellaswag.yaml", dict),
    "rte": ("rte.jsonl", "glue/rte/default.yaml", dict),
}
SUBJECTS = ("anatomy", "high_school_world_history")
MMLU_SHOTS = 2


def mmlu_rows(path):
    with open(path, newline="") as file:
        return [{"question": row["question"], "choices": [row[f"choice{i}"] for i in range(4)],
                 "answer": int(row["answer"])} for row in csv.DictReader(file)]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def write_task(folder, name, base, files):
    """A task file of the harness that is `base` on local rows."""
    splits = "".join(f"{split}_split: {split if split in files else 'null'}\n"
                     for split in ("training", "validation", "test"))
    splits += f"fewshot_split: {'dev' if 'dev' in files else 'test'}\n"
    (folder / f"{name}.yaml").write_text(
        f"include: {base}\ntask: karat_{name}\ntask_alias: null\ndataset_path: json\ndataset_name: null\n"
        f"dataset_kwargs: {json.dumps({'data_files': files})}\n{splits}")
    return f"karat_{name}"


def prepare(folder, data, harness):
    """Writes rows and task files; returns {harness' name: (Karat's task, group, shots)}."""
    tasks = {}
    for name, (file, base, convert) in SETS.items():
        found = [path for path in (*data.glob(file), *data.glob(f"*/{file}"))]
        if not found:
            continue
        rows = [convert(row) for row in lines(found[0])[:LIMIT]]
        file = write_rows(folder / f"{name}.jsonl", rows)
        tasks[write_task(folder, name, harness / base, {"test": file})] = (name, "", 0)
    for subject in SUBJECTS:
        if not list(data.glob(f"*/test/{subject}_test.csv")):
            continue
        files = {}
        for split in ("test", "dev"):
            path = next(data.glob(f"*/{split}/{subject}_{split}.csv"))
            files[split] = write_rows(folder / f"{subject}_{split}.jsonl", mmlu_rows(path)[:LIMIT])
        base = harness / f"mmlu/default/mmlu_{subject}.yaml"
        tasks[write_task(folder, subject, base, files)] = ("mmlu", subject, MMLU_SHOTS)
    return tasks


def outcome(sample):
    """What one item gave."""
    if isinstance(sample["resps"][0][0], str):
        return {"response": sample["resps"][0][0]}
    answers = [response[0] for response in sample["resps"]]
    return {"loglikelihoods": [round(float(answer[0]), 5) for answer in answers],
            "greedy": [bool(answer[1]) for answer in answers]}


def run(model, folder, tasks, shots):
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    names = [name for name, (_, _, wanted) in tasks.items() if wanted == shots]
    results = lm_eval.simple_evaluate(
        model=HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=25),
        tasks=names, num_fewshot=shots, limit=LIMIT, log_samples=True, bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(folder), include_defaults=False))
    kept = []
    for name in names:
        task, group, _ = tasks[name]
        samples = {}  # one entry for each filter of a task that generates
        for sample in results["samples"][name]:
            entry = samples.setdefault(sample["doc_id"], {"row": sample["doc_id"], **outcome(sample), "metrics": {}})
            for metric in sample["metrics"]:
                label = metric if sample["filter"] == "none" else f"{metric},{sample['filter']}"
                value = sample[metric]
                entry["metrics"][label] = round(float(value), 5)
        kept.append({"task": task, "group": group, "shots": shots,
                     "items": [samples[row] for row in sorted(samples)]})
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    import lm_eval.tasks
    import importlib.metadata as versions
    harness = pathlib.Path(lm_eval.tasks.__file__).parent
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tasks = prepare(folder, args.data, harness)
        sets = [kept for shots in sorted({wanted for _, _, wanted in tasks.values()})
                for kept in run(args.model.resolve(), folder, tasks, shots)]
    made_with = {name: versions.version(name) for name in ("lm_eval", "transformers", "torch")}
    text = json.dumps({"made_with": made_with, "model": args.model.name, "limit": LIMIT, "sets": sets}, indent=0)
    args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
