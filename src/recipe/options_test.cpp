#include <doctest/doctest.h>

#include "karat/error.h"
#include "karat/options.h"

using karat::Error;
using karat::Options;

TEST_CASE("options are typed, defaulted and spelled out") {
  Options options("grid uniform", "bits=3,damp=0.50");
  CHECK(options.integer("bits", 4, 2, 8, "") == 3);
  CHECK(options.number("damp", 0.01, 0, 1, "") == 0.5);
  CHECK(options.flag("bilevel", true, ""));
  CHECK(options.choice("key", "g", {"g", "gw"}, "") == "g");
  options.finish();
  CHECK(options.text() == "bits=3,damp=0.5,bilevel=1,key=g");
}

TEST_CASE("a value without a key belongs to the first option") {
  Options options("selector top", "0.02,scope=row");
  CHECK(options.number("ratio", 0.01, 0, 1, "") == 0.02);
  CHECK(options.choice("scope", "matrix", {"matrix", "row"}, "") == "row");
  options.finish();
  Options twice("selector top", "0.02,ratio=0.03");
  CHECK_THROWS_AS(twice.number("ratio", 0.01, 0, 1, ""), Error);
}

TEST_CASE("malformed options are named") {
  for (const char* text : {"=3", "bits=", "bits=3,bits=4", "bits=3,4"})
    CHECK_THROWS_AS(Options("grid uniform", text), Error);
  for (const char* text :
       {"bits=9", "bits=1", "bits=3x", "bits=3.5", "bits=99999999999999999999"}) {
    Options options("grid uniform", text);
    CHECK_THROWS_AS(options.integer("bits", 4, 2, 8, ""), Error);
  }
  for (const char* text : {"damp=nan", "damp=inf", "damp=-1", "damp=0.1e", "damp=two"}) {
    Options options("solver gptq", text);
    CHECK_THROWS_AS(options.number("damp", 0.01, 0, 1, ""), Error);
  }
  Options flag("grid uniform", "bilevel=yes");
  CHECK_THROWS_AS(flag.flag("bilevel", false, ""), Error);
  Options choice("metric gradient", "key=h");
  CHECK_THROWS_WITH(choice.choice("key", "g", {"g", "gw"}, "which"),
                    "metric gradient: got key=h, expected g, gw; which");
}

TEST_CASE("an option that nobody asked for is an error that lists the known ones") {
  Options options("grid uniform", "bits=3,gruop=16");
  options.integer("bits", 4, 2, 8, "");
  options.integer("group", 128, 0, 65536, "");
  CHECK_THROWS_WITH(options.finish(), "grid uniform: got option 'gruop', expected bits, group");
  CHECK_THROWS_WITH(Options("solver nearest", "fast").finish(),
                    "solver nearest: got option 'fast', expected no options");
}

TEST_CASE("with replaces one option") {
  CHECK(Options::with("bits=3,group=16", "bits", "4") == "group=16,bits=4");
  CHECK(Options::with("", "bits", "4") == "bits=4");
  CHECK(Options::with("0.01,scope=row", "scope", "matrix") == "0.01,scope=matrix");
}
