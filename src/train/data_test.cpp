#include "train/data.h"

#include <doctest/doctest.h>

#include <set>

#include "core/file.h"
#include "core/temporary.h"
#include "karat/error.h"

namespace karat {
namespace {

TEST_CASE("documents lie between separator lines") {
  const auto documents = separated_documents(
      "\n<|endoftext|>\none\n\ntwo\n<|endoftext|>\r\n \n<|endoftext|>\nthree <|endoftext|> x\n");
  REQUIRE(documents.size() == 2);
  CHECK(documents[0] == "one\n\ntwo");
  CHECK(documents[1] == "three <|endoftext|> x");  // not on a line of its own
  CHECK(separated_documents("").empty());
}

TEST_CASE("JSON records are documents, whatever stands in them") {
  const TemporaryFolder folder;
  const auto documents = [&](std::string_view content) {
    write_file(folder.path / "t", content);
    const TextFile file = TextFile::open(folder.path / "t");
    std::vector<std::string> found;
    for (const std::string_view document : documents_of(file)) found.emplace_back(document);
    return found;
  };
  const std::string inside = "one\n<|endoftext|>\ntwo";
  CHECK(documents(inside) == std::vector<std::string>{"one", "two"});
  CHECK(documents(
            "{\"text\": \" one\\n<|endoftext|>\\ntwo\"}\n{\"text\": \" \"}\n{\"text\": \"3\"}") ==
        std::vector<std::string>{inside, "3"});
}

TEST_CASE("a pass meets every window once") {
  WindowOrder order(1003, 11, 7);
  const std::int64_t count = order.per_pass();
  CHECK(count == 99);  // (1003 - 1) / 10 leaves little room to begin elsewhere, so one fewer
  std::vector<std::vector<std::int64_t>> passes(2);
  for (std::int64_t i = 0; i < 2 * count; ++i)
    passes[static_cast<std::size_t>(i / count)].push_back(order.begin_of(i));
  for (const auto& pass : passes) {
    const std::set<std::int64_t> begins(pass.begin(), pass.end());
    CHECK(static_cast<std::int64_t>(begins.size()) == count);
    CHECK(*begins.begin() >= 0);
    CHECK(*begins.rbegin() + 11 <= 1003);
    CHECK(*begins.rbegin() - *begins.begin() == 10 * (count - 1));
  }
  CHECK(passes[0] != passes[1]);
}

TEST_CASE("the place of a window depends on its number and the seed alone") {
  WindowOrder forward(5000, 17, 3), jumping(5000, 17, 3), other(5000, 17, 4);
  std::vector<std::int64_t> first, second, third;
  for (std::int64_t i = 0; i < 700; ++i) first.push_back(forward.begin_of(i));
  for (std::int64_t i = 699; i >= 0; --i) second.insert(second.begin(), jumping.begin_of(i));
  for (std::int64_t i = 0; i < 700; ++i) third.push_back(other.begin_of(i));
  CHECK(first == second);
  CHECK(first != third);
}

TEST_CASE("too short a text is refused") {
  CHECK_THROWS_AS(WindowOrder(10, 11, 1), Error);
  CHECK_NOTHROW(WindowOrder(11, 11, 1).begin_of(5));
}

}  // namespace
}  // namespace karat
