// Work folders: whose work is in them, and going on with it.
#include "pipeline/work.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "core/temporary.h"
#include "karat/error.h"
#include "pipeline/identity.h"
#include "pipeline/passes.h"
#include "pipeline/testing.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> hashes(const WorkIdentity& identity) {
  std::vector<std::string> all;
  for (const WorkPart& part : identity) all.push_back(part.hash);
  return all;
}

}  // namespace

TEST_CASE("work is of the same model by what is in its files, not by their sizes or times") {
  TemporaryFolder temporary;
  const Assembled recipe = assemble(find_method("rtn"));
  const auto mark = [&](const fs::path& folder) {
    return hashes(identity_of_work(load(folder), recipe, {}));
  };
  const fs::path one = model_folder(temporary.path / "one", "llama3"),
                 two = model_folder(temporary.path / "two", "llama3");
  const fs::path weights = two / "model.safetensors";
  fs::last_write_time(weights, fs::last_write_time(weights) - std::chrono::hours(24));
  CHECK(mark(one) == mark(two));
  const auto time = fs::last_write_time(weights);
  std::string bytes = read_text(weights);
  for (const std::size_t back : {std::size_t{4}, bytes.size() / 2}) {  // one bit of one weight
    std::string other = bytes;
    other[bytes.size() - back] ^= 1;
    write_file(weights, other);
    fs::last_write_time(weights, time);
    CHECK(mark(one) != mark(two));
  }
  write_file(weights, bytes);
  CHECK(mark(one) == mark(two));
  const Assembled other = assemble(find_method("rtn"), {.bits = "3"});
  CHECK(hashes(identity_of_work(load(one), other, {})) != mark(one));
  std::string config = read_text(two / "config.json");
  write_file(two / "config.json", config.insert(config.find('{') + 1, "\"rms_norm_eps\":1e-4,"));
  CHECK(mark(one) != mark(two));
}

TEST_CASE("interrupted work goes on to the same bytes") {
  TemporaryFolder temporary;
  for (const char* method : {"karat", "gptq", "rtn", "yaqa"}) {
    CAPTURE(method);
    const Source model = load(kFamilies / "llama3");
    const bool mixes = assemble(find_method(method)).widths.mean > 0;
    const Assembled recipe = assemble(find_method(method), {.bits = mixes ? "3" : ""});
    const CalibrationSet text = recipe.needs().any() ? fixture_text("llama3") : CalibrationSet{};
    const WorkIdentity mark = identity_of_work(model, recipe, text);
    const fs::path whole_out = temporary.path / "whole", out = temporary.path / "parts";
    const Work whole(whole_out, mark);
    const BlockStore one = run_passes(model, recipe, text, whole, {}).blocks;
    std::optional<BlockStore> resumed;
    std::int64_t steps = 0, stops = 0;
    for (; !resumed; ++stops) {  // one step further each time
      REQUIRE(stops < 100);
      Work work(out, mark);
      std::int64_t left = ++steps;
      const ProgressFn progress = [&](const ProgressEvent&) { return --left > 0; };
      try {
        resumed = run_passes(model, recipe, text, work, progress).blocks;
      } catch (const Interrupted&) {
      }
      work.keep();
    }
    CHECK(stops > 2);
    CHECK(one.finished() == model.arch.blocks.size());
    for (std::size_t i = 0; i < one.finished(); ++i) {
      const QuantizedBlock a = one.get(i), b = resumed->get(i);
      REQUIRE(a.file.tensors().size() == b.file.tensors().size());
      for (const TensorView& tensor : a.file.tensors())
        CHECK(std::ranges::equal(tensor.span(), b.file.get(tensor.name).span()));
    }
    const WorkIdentity another = identity_of_work(model, assemble(find_method("gwq")), text);
    CHECK_THROWS_WITH_AS(Work(out, another), doctest::Contains("of another recipe in"), Error);
    CHECK(BlockStore(out.string() + ".work/blocks").finished() == model.arch.blocks.size());
    Work other(out, another, true);  // begins again
    CHECK(!fs::exists(other.path() / "blocks"));
    CHECK_THROWS_WITH_AS(Work(out, another), doctest::Contains("another process"), Error);
  }
}

TEST_CASE("whoever is next at work in a folder loses nothing to the one before") {
  TemporaryFolder temporary;
  const fs::path out = temporary.path / "out";
  const WorkIdentity mark = {{.name = "recipe", .summary = "one", .hash = "1"}};
  for (int round = 0; round < 5; ++round) {
    auto former = std::make_optional<Work>(out, mark);
    fs::create_directory(former->path() / "blocks");
    for (int i = 0; i < 1000; ++i)
      std::ofstream(former->path() / "blocks" / std::to_string(i)) << "former";
    std::atomic<bool> waits = false;
    std::optional<Work> next;
    std::thread thread([&] {
      while (!next) try {
          next.emplace(out, mark);
        } catch (const Error&) {  // still at work
          waits = true;
        }
      fs::create_directory(next->path() / "path");
      write_file(next->path() / "path" / "mine", "mine");
    });
    while (!waits) std::this_thread::yield();
    former.reset();
    thread.join();
    CHECK(fs::exists(next->path() / "fingerprint"));
    CHECK(fs::exists(next->path() / "path" / "mine"));
  }
}

TEST_CASE("other unfinished work is kept, and named by what is known of it") {
  TemporaryFolder temporary;
  const fs::path out = temporary.path / "out", block = out.string() + ".work/blocks/one";
  const WorkIdentity mine = {{.name = "recipe", .summary = "gwq --bits 3", .hash = "1"},
                             {.name = "text", .summary = "a.txt", .hash = "2"}};
  const auto begin = [&](const WorkIdentity& identity, bool discard) {
    Work work(out, identity, discard);
    work.keep();
  };
  begin(mine, false);  // killed before it found anything
  WorkIdentity other = mine;
  other[1].hash = "3";
  begin(other, false);
  begin(mine, false);
  fs::create_directory(block.parent_path());
  write_file(block, "hours");
  begin(mine, false);
  Work::check(out, {mine[0]}, false);  // the text is not known yet
  CHECK_THROWS_WITH_AS(Work::check(out, other, false), doctest::Contains("of another text in"),
                       Error);
  CHECK_THROWS_WITH_AS(begin(other, false),
                       doctest::Contains(", of recipe gwq --bits 3, text a.txt, expected"), Error);
  other[0].hash = "4";
  CHECK_THROWS_WITH_AS(begin(other, false), doctest::Contains("of another recipe in"), Error);
  CHECK_THROWS_WITH_AS(begin(other, false), doctest::Contains("with --force"), Error);
  CHECK(read_text(block) == "hours");
  begin(mine, true);  // the same work goes on all the same
  CHECK(fs::exists(block));

  const fs::path mark = out.string() + ".work/fingerprint";
  write_file(mark, "karat work " + std::string(64, 'a'));  // as former versions wrote it
  CHECK_THROWS_WITH_AS(begin(mine, false), doctest::Contains("another version of Karat"), Error);
  begin(mine, true);
  CHECK(!fs::exists(block));
}
