"""Bad input gives one clear error, exit code 2, and leaves nothing behind."""
import gzip
import json
import os
import re
import shutil
import struct
import subprocess

from support import (CALIBRATION, EVALUATION, KARAT, MODEL, TestCase, karat, main, read_safetensors,
                     write_safetensors)


class BadInput(TestCase):
    def run_refused(self, model, says):
        self.assert_refused("run", model, "--prompt", "x", says=says)

    def both_refuse(self, model, says):
        """The quantizer and the runtime each refuse this model."""
        self.quantize_refused(model, says)
        self.run_refused(model, says)

    def edit_config(self, model, **changes):
        config = json.loads((model / "config.json").read_text())
        config.update(changes)
        config = {key: value for key, value in config.items() if value != "absent"}
        (model / "config.json").write_text(json.dumps(config))

    def edit_tensor(self, model, name, change):
        """Applies change(entry) to one header entry of the weights."""
        path = model / "model.safetensors"
        header, _, data = read_safetensors(path)
        change(header[name])
        write_safetensors(path, header, data)

    # The command ----------------------------------------------------------------------------------

    def test_unknown_verb_is_named(self):
        self.assert_refused("quantise", MODEL, says="no verb quantise")
        self.assertRegex(self.run_karat("--version"), r"^\d+\.\d+")

    def test_nothing_is_shown_before_the_options_are_checked(self):
        for options in (["--temperature", "-1"], ["--top-p", "0"], ["--kv", "f64"], ["--prompt", "word " * 5000]):
            done = karat("run", MODEL, "--prompt", "Once", *options) if options[0] != "--prompt" else \
                karat("run", MODEL, *options)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)

    def test_output_that_finds_no_room(self):
        with open("/dev/full", "w") as full:
            for verb in ("inspect", "methods"):
                done = subprocess.run([KARAT, verb, *([MODEL] if verb == "inspect" else [])], stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=60)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn("No space left", done.stderr)

    def test_empty_name_of_a_file(self):
        for verb in (["evaluate", MODEL, "--text", EVALUATION, "--save-logits", ""],
                     ["compare", MODEL, "--methods", "rtn", "--text", EVALUATION, "--html", ""]):
            done = karat(*verb)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            self.assertIn("an empty name", done.stderr)

    # Weights -------------------------------------------------------------------------------------

    def test_truncated(self):
        model = self.copy_model()
        path = model / "model.safetensors"
        raw = path.read_bytes()
        for size in (0, 7, 100, len(raw) // 2, len(raw) - 1):
            path.write_bytes(raw[:size])
            self.run_refused(model, "model.safetensors")
        self.quantize_refused(model, "model.safetensors")

    def test_file_cut_while_it_is_mapped(self):
        model = self.copy_model()
        self.edit_config(model, max_position_embeddings=50_000)  # so that it would run for long
        process = subprocess.Popen([KARAT, "run", model, "--prompt", "The", "--max-new", "49000", "--temperature", "0"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(20)  # it runs
        os.truncate(model / "model.safetensors", 100_000)
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 2)
        self.assertRegex(errors.decode(), r"(?s)\Akarat: .* got .*something cut it while")

    def test_huge_header(self):
        model = self.copy_model()
        (model / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
        self.both_refuse(model, "header")

    def test_overlapping_out_of_range_and_wrong_size(self):
        name = "model.norm.weight"
        def shift(entry):
            entry["data_offsets"] = [o - 2 for o in entry["data_offsets"]]
        def beyond(entry):
            entry["data_offsets"] = [o + (1 << 40) for o in entry["data_offsets"]]
        def longer(entry):
            entry["shape"] = [entry["shape"][0] + 1]
        for change in (shift, beyond, longer):
            model = self.copy_model()
            self.edit_tensor(model, name, change)
            self.run_refused(model, "model.safetensors")
            shutil.rmtree(model)

    def test_missing_shard(self):
        model = self.copy_model()
        header, _, _ = read_safetensors(model / "model.safetensors")
        (model / "model.safetensors").unlink()
        shard = "model-00001-of-00001.safetensors"
        (model / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": {name: shard for name in header}}))
        self.both_refuse(model, shard)

    def test_missing_tensor(self):
        model = self.copy_model()
        path = model / "model.safetensors"
        header, _, data = read_safetensors(path)
        header["renamed"] = header.pop("model.norm.weight")
        write_safetensors(path, header, data)
        self.both_refuse(model, "model.norm.weight")

    def test_nan_in_weights_is_named(self):
        model = self.copy_model()
        path = model / "model.safetensors"
        header, _, data = read_safetensors(path)
        name = "model.layers.1.mlp.up_proj.weight"
        begin = header[name]["data_offsets"][0]
        raw = bytearray(data)
        raw[begin:begin + 2] = b"\xff\x7f"  # a NaN in F16 and in BF16
        write_safetensors(path, header, bytes(raw))
        self.quantize_refused(model, name)

    def test_activations_that_overflow_are_named(self):
        model = self.copy_model()
        path = model / "model.safetensors"
        header, _, data = read_safetensors(path)
        begin, end = header["model.layers.1.input_layernorm.weight"]["data_offsets"]
        raw = bytearray(data)
        raw[begin:end] = b"\x7f\x7f" * ((end - begin) // 2)  # 3.4e38 in BF16, finite
        write_safetensors(path, header, bytes(raw))
        self.quantize_refused(model, "block 1")

    # Config and tokenizer ------------------------------------------------------------------------

    def test_unknown_and_missing_architecture(self):
        for value, says in (("no-such-model", "no-such-model"), ("absent", "model_type")):
            model = self.copy_model()
            self.edit_config(model, model_type=value, architectures="absent")
            self.both_refuse(model, says)
            shutil.rmtree(model)

    def test_shape_contradicts_config(self):
        model = self.copy_model()
        self.edit_config(model, intermediate_size=641)
        self.both_refuse(model, "mlp.")

    def test_malformed_and_missing_config(self):
        model = self.copy_model()
        (model / "config.json").write_text("{")
        self.both_refuse(model, "config.json")
        (model / "config.json").unlink()
        self.both_refuse(model, "config.json")

    def test_a_seed_below_zero_and_a_mean_of_fixed_widths(self):
        verbs = (("quantize", MODEL, "--out", self.folder / "out"), ("run", MODEL),
                 ("train", MODEL / "config.json", "--tokenizer", MODEL, "--data", CALIBRATION, "--out", self.folder / "out"),
                 ("evaluate", MODEL, "--tasks", "piqa", "--data", self.folder))
        for verb in verbs:
            done = karat(*verb, "--seed", -1)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--seed: got -1, expected a whole number from 0 to", done.stderr)
        self.assert_refused("quantize", MODEL, "--method", "gptq", "--grid", "nf4", "--bits", 3.5, "--out",
                            self.folder / "out", says="grid nf4: got bits=3.5, expected bits=4")

    def test_malformed_json_is_told_in_our_words(self):
        model = self.copy_model()
        config, tokenizer = (model / "config.json").read_text(), (model / "tokenizer.json").read_text()
        run = ("run", model, "--prompt", "x")
        said = []

        def refused(says, *arguments):
            self.assert_refused(*arguments, says=says)
            said.append(karat(*arguments).stderr)
        (model / "config.json").write_text(config.replace("{", '{\n "rms": NaN,', 1))
        refused('config.json: got "NaN" at byte 10, line 2, expected well-formed JSON', *run)
        (model / "config.json").write_text("")
        refused("config.json: got nothing but blanks at byte 0, line 1", *run)
        (model / "config.json").write_text(config.rstrip().rstrip("}"))
        refused("config.json: got the end of the text at byte", *run)
        (model / "config.json").write_text(config)
        (model / "tokenizer.json").write_text("")
        refused("tokenizer.json: got nothing but blanks", *run)
        (model / "tokenizer.json").write_text(tokenizer)
        text = self.folder / "text.jsonl"
        text.write_text('{"text": "a"}\n{"text": "\\ud800 b"}\n')
        refused("got half of a surrogate pair at byte", "evaluate", MODEL, "--text", text)
        self.assertNotIn("json.exception", "".join(said))
        self.assertNotIn("[", "".join(said))

    def test_missing_tokenizer(self):
        model = self.copy_model()
        (model / "tokenizer.json").unlink()
        self.both_refuse(model, "tokenizer")

    def test_no_such_folder(self):
        self.both_refuse(self.folder / "nowhere", "nowhere")

    # Text ----------------------------------------------------------------------------------------

    def test_empty_short_and_missing_text(self):
        empty, short = self.folder / "empty.txt", self.folder / "short.txt"
        empty.write_text("")
        short.write_text("Too short.")
        for text in (empty, short, self.folder / "absent.txt"):
            self.quantize_refused(MODEL, text.name, calib=text)
            self.assert_refused("evaluate", MODEL, "--text", text, says=text.name)

    def test_what_is_no_text_is_refused_by_its_kind_in_every_verb(self):
        text = CALIBRATION.read_text()
        config = self.folder / "config.json"
        config.write_text((MODEL / "config.json").read_text())
        kinds = {"gzip": gzip.compress(text.encode()), "UTF-16": text.encode("utf-16"),
                 "UTF-16LE": text.encode("utf-16-le"), "0xe9": text.replace("e", "é").encode("latin-1"),
                 "Parquet": b"PAR1" + bytes(100) + b"PAR1", "a zero at byte 3": b"abc\0" + text.encode(),
                 'line 1: got no string "text": it has body': json.dumps({"body": text}).encode(),
                 "line 2: got": json.dumps({"text": text}).encode() + b"\n" + text.encode()}
        wrong = self.folder / "wrong.txt"
        for kind, raw in kinds.items():  # every kind in one verb, and below every verb with the last of them
            wrong.write_bytes(raw)
            self.assert_refused("evaluate", MODEL, "--text", wrong, says=kind)
        self.quantize_refused(MODEL, kind, calib=wrong)
        self.assert_refused("evaluate", MODEL, "--text", EVALUATION, "--calib", wrong, says=kind)
        self.assert_refused("compare", MODEL, "--methods", "rtn", "--text", wrong, says=kind)
        self.assert_refused("train", config, "--tokenizer", MODEL, "--data", CALIBRATION, "--validation", wrong,
                            "--out", self.folder / "trained", says=kind)

    def test_calibration_of_two_tokens_is_damped(self):
        for method in ("gptq", "spqr"):
            out = self.quantize(method, method, "--samples", 1, "--length", 2)
            score = self.run_json("evaluate", out, "--text", EVALUATION, "--limit", 1)
            self.assertLess(score["perplexity"], 200)  # 70 of the original

    def test_calibration_missing_where_needed(self):
        self.assert_refused("quantize", MODEL, "--method", "gwq", "--out", self.folder / "out", says="--calib")

    # Options -------------------------------------------------------------------------------------

    def test_unknown_method_axis_and_values(self):
        self.assert_refused("quantize", MODEL, "--method", "no-such", "--calib", CALIBRATION, "--out",
                            self.folder / "out", says="no-such")
        for flag, value, says in (("--metric", "vibes", "vibes"), ("--selector", "top:2.0", "2"),
                                  ("--grid", "uniform:bits=7", "7"), ("--grid", "uniform:bit=3", "bit"),
                                  ("--solver", "oracle", "oracle"), ("--selector", "top:0.01,scope=planet", "planet")):
            self.quantize_refused(MODEL, says, flag, value)
        self.assert_refused("evaluate", MODEL, "--text", EVALUATION, "--convention", "mine", says="mine")

    def test_a_size_that_cannot_be(self):
        def refused(says, *arguments, calib=CALIBRATION):
            self.assert_refused("quantize", MODEL, *arguments, "--calib", calib, "--out", self.folder / "out", says=says)
        missing = self.folder / "absent.txt"  # a text that is read later than all this is known
        for dry in ([], ["--dry-run"]):
            # Other texts that are no size: widths_test.cpp.
            refused("a number and its unit, MB, MiB, GB or GiB", "--size=-3MB", *dry, calib=missing)
            refused("at most 64", "--file-bits", 100, *dry, calib=missing)
            refused("one of them", "--size", "2MB", "--bits", 4, *dry, calib=missing)
            refused("one of them", "--size", "2MB", "--file-bits", 4, *dry, calib=missing)
            refused("say --grid uniform:group=128,", "--method", "gptq", "--size", "2MB", *dry, calib=missing)
            refused("this grid has one width", "--method", "rtn", "--grid", "nf4", "--size", "2MB", *dry, calib=missing)
            refused("say outliers=0", "--method", "spqr", "--grid", "uniform:widths=mixed", "--size", "2MB", *dry,
                    calib=missing)
            refused("--ends 4 would make", "--ends", "none", "--size", "1MB", *dry, calib=missing)
            refused("or more", "--file-bits", 1, *dry, calib=missing)

    def test_the_smallest_size_is_named_and_can_be_had(self):
        out = self.folder / "out"
        done = karat("quantize", MODEL, "--size", "0.01MB", "--calib", CALIBRATION, "--out", out)
        self.assertEqual(done.returncode, 2)
        least = re.search(r"expected --size (\S+MB) or more", done.stderr)[1]
        plan = self.run_json("quantize", MODEL, "--size", least, "--calib", CALIBRATION, "--out", out, "--dry-run",
                             "--samples", 2)
        self.assertLessEqual(plan["file_bytes"], float(least[:-2]) * 1e6)
        self.assertGreater(plan["file_bytes"], float(least[:-2]) * 1e6 - 1000)
        self.assertFalse(out.exists())

    def test_what_another_model_measured_is_refused(self):
        out, sized = self.folder / "out", ("--size", "2MB", "--calib", CALIBRATION, "--samples", 2)
        self.run_karat("quantize", MODEL, *sized, "--out", out, "--dry-run")
        model = self.copy_model()
        path = model / "model.safetensors"
        header, _, data = read_safetensors(path)
        raw = bytearray(data)
        raw[header["model.norm.weight"]["data_offsets"][0]] ^= 1
        write_safetensors(path, header, bytes(raw))
        for dry in ([], ["--dry-run"]):
            self.assert_refused("quantize", model, *sized, "--out", out, *dry, says="another model's weights")
            self.assert_refused("quantize", MODEL, *sized[:-1], 3, "--out", out, *dry, says="another text")

    # Karat folders -------------------------------------------------------------------------------

    def test_newer_format_version(self):
        out = self.quantize("out", "rtn")
        config = json.loads((out / "config.json").read_text())
        config["quantization_config"]["format_version"] = 99
        (out / "config.json").write_text(json.dumps(config))
        self.assert_refused("run", out, "--prompt", "x", says="version")

    def test_damaged_packed_tensors(self):
        out = self.quantize("out", "gwq")
        path = out / "model.safetensors"
        raw = path.read_bytes()
        header, _, data = read_safetensors(path)
        name = next(n for n in header if n.endswith(".outlier_columns"))
        columns = bytearray(data)
        begin = header[name]["data_offsets"][0]
        columns[begin:begin + 2] = b"\xff\xff"
        write_safetensors(path, header, bytes(columns))
        self.assert_refused("run", out, "--prompt", "x", says=name.rsplit(".", 1)[0])
        path.write_bytes(raw[:-100])
        self.assert_refused("run", out, "--prompt", "x", says="model.safetensors")

    def test_quantizing_twice_is_refused(self):
        out = self.quantize("once", "rtn")
        self.assert_refused("quantize", out, "--method", "rtn", "--out", self.folder / "twice", says="once")

    # Running -------------------------------------------------------------------------------------

    def test_prompt_longer_than_the_context(self):
        self.assert_refused("run", MODEL, "--prompt", "word " * 4000, says="512")


if __name__ == "__main__":
    main()
