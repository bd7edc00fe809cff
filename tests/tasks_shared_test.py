"""`karat evaluate --tasks` agrees with lm-evaluation-harness on rows of the public sets."""
import unittest

import support
from agreement import Agreement

SETS = support.SHARED / "data" / "zeroshot"


@unittest.skipUnless(SETS.exists(), f"{SETS} is absent")
class PublicSets(Agreement):
    def test_public_sets(self):
        self.check("public_sets.json", SETS)


if __name__ == "__main__":
    support.main()
