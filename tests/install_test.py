"""`cmake --install` gives a package that the separate projects in examples/ build against."""
import os
import pathlib
import subprocess

from support import CALIBRATION, MODEL, ROOT, TestCase, main

BUILD = os.environ.get("KARAT_BUILD", str(ROOT / "build" / "release"))
CMAKE = os.environ.get("CMAKE", "cmake")


class Install(TestCase):
    def must(self, *command):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout

    def build_example(self, name, prefix):
        build = self.folder / f"build-{name}"
        torch = [line.split("=", 1)[1] for line in (pathlib.Path(BUILD) / "CMakeCache.txt").read_text().splitlines() if line.startswith("Torch_DIR:")]
        hint = [f"-DTorch_DIR={torch[0].strip()}"] if torch else []
        self.must(CMAKE, "-S", ROOT / "examples" / name, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}",
                  "-DCMAKE_BUILD_TYPE=Debug", *hint)
        self.must(CMAKE, "--build", build)
        return build / name

    def check_headers(self, include):
        """Every public header is installed; those that do not need LibTorch compile without anything else."""
        texts = {path.name: path.read_text() for path in (include / "karat").glob("*.h")}
        self.assertEqual(sorted(texts), sorted(path.name for path in (ROOT / "include/karat").glob("*.h")))
        torch = {"torch.h"}
        for _ in texts:  # at most one step further each time
            torch |= {name for name, text in texts.items()
                      if any(f'#include "karat/{known}"' in text for known in torch)}
        plain = sorted(texts.keys() - torch)
        self.assertIn("runtime.h", plain)
        unit = self.folder / "all.cpp"
        unit.write_text("".join(f'#include "karat/{name}"\n' for name in plain))
        self.must("c++", "-std=c++20", "-fsyntax-only", f"-I{include}", unit)

    def test_installed_package(self):
        prefix = self.folder / "prefix"
        self.must(CMAKE, "--install", BUILD, "--prefix", prefix)
        listing = self.must(prefix / "bin" / "karat", "methods")  # finds karat-torch in libexec
        self.assertIn("gwq", listing)

        self.assertTrue((prefix / "share/karat/tasks/piqa.json").exists())
        self.check_headers(prefix / "include")

        generate = self.build_example("generate", prefix)
        self.assertGreater(len(self.must(generate, MODEL, "The captain").split()), 5)

        quantize = self.build_example("quantize", prefix)
        out = self.folder / "out"
        self.assertIn("28 layers at 3.", self.must(quantize, MODEL, CALIBRATION, out))
        self.assertTrue((out / "model.safetensors").exists())


if __name__ == "__main__":
    main()
