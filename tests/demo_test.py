"""tools/demo.py runs, leads with the default method, and prints what the README shows."""
import re
import subprocess
import sys

from support import KARAT, ROOT, TestCase, main


def table(text):
    """{model: (MB, bits a parameter, bits, perplexity, KL or None)} of the demo's table; speeds are the machine's own."""
    row = re.compile(r"^(original|\w+ \d bits) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) ± [\d.]+ +([\d.]+|–) +\d+$", re.M)
    return {name: (*map(float, numbers), None if kl == "–" else float(kl))
            for name, *numbers, kl in row.findall(text)}


class Demo(TestCase):
    def test_readme_shows_what_the_demo_prints(self):
        done = subprocess.run([sys.executable, ROOT / "tools" / "demo.py", "--karat", KARAT],
                              capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        printed, shown = table(done.stdout), table((ROOT / "README.md").read_text())
        self.assertEqual(list(printed), list(shown))
        self.assertEqual(list(printed)[:2], ["original", "karat 4 bits"])
        for name, (size, file_bits, bits, perplexity, kl) in printed.items():
            with self.subTest(model=name):
                self.assertEqual(bits, shown[name][2])
                self.assertAlmostEqual(size, shown[name][0], delta=0.01)
                self.assertAlmostEqual(file_bits, shown[name][1], delta=0.02)
                self.assertAlmostEqual(perplexity, shown[name][3], delta=0.1)  # another CPU rounds otherwise
                self.assertAlmostEqual(kl or 0, shown[name][4] or 0, delta=0.0005)
            self.assertIn(f"\n{name}: ", done.stdout)  # some lines that it wrote


if __name__ == "__main__":
    main()
