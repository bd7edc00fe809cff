#include "karat/ranks.h"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "karat/error.h"
#include "ranks/testing.h"

using namespace karat;

TEST_CASE("a rank that is alone gets back what it gives") {
  Ranks ranks;
  CHECK(ranks.alone());
  CHECK(ranks.gather("x") == std::vector<std::string>{"x"});
  CHECK(ranks.least(7) == 7);
  ranks.agree("text", "a");
  CHECK(&Ranks::current() != &ranks);
  ranks.share([&] { CHECK(&Ranks::current() == &ranks); });
  CHECK(ranks.traffic().bytes == 0);
}

TEST_CASE("ranks exchange what is for each, of any length") {
  const auto errors = on_ranks(3, [](Ranks& ranks) {
    for (int round = 0; round < 4; ++round) {
      std::vector<torch::Tensor> to;
      for (int other = 0; other < 3; ++other)
        to.push_back(torch::full({round * (ranks.rank() + 2 * other)}, 10 * ranks.rank() + other,
                                 torch::kUInt8));
      const auto from = ranks.exchange(to);
      for (int other = 0; other < 3; ++other) {
        const torch::Tensor expected = torch::full({round * (other + 2 * ranks.rank())},
                                                   10 * other + ranks.rank(), torch::kUInt8);
        if (!torch::equal(from[static_cast<std::size_t>(other)], expected))
          throw Error("wrong bytes");  // doctest's checks are not for many threads
      }
    }
    if (ranks.gather("r" + std::to_string(ranks.rank())) !=
        std::vector<std::string>{"r0", "r1", "r2"})
      throw Error("wrong texts");
    if (ranks.least(5 - ranks.rank()) != 3) throw Error("wrong least");
    if (ranks.traffic().bytes == 0) throw Error("no traffic");
  });
  for (const std::string& error : errors) CHECK(error == "");
}

TEST_CASE("ranks that disagree are all told on what") {
  const auto errors = on_ranks(2, [](Ranks& ranks) {
    ranks.agree("model", "same");
    ranks.agree("text", ranks.first() ? "one" : "another");
  });
  for (const std::string& error : errors)
    CHECK(error.find("another text on rank 1 than on rank 0") != std::string::npos);
}

TEST_CASE("what one rank throws reaches those that wait for it") {
  for (const int bad : {0, 1}) {
    const auto errors = on_ranks(2, [&](Ranks& ranks) {
      if (ranks.rank() == bad) throw Error("read: got nonsense, expected sense");
      ranks.gather("x");
    });
    CHECK(errors[static_cast<std::size_t>(bad)] == "read: got nonsense, expected sense");
    CHECK(errors[static_cast<std::size_t>(1 - bad)].find("it stopped: read: got nonsense") !=
          std::string::npos);
  }
}

TEST_CASE("a rank that falls silent is taken for lost") {
  const auto start = std::chrono::steady_clock::now();
  const int port = free_port();
  std::string error;
  std::thread alive([&] {
    try {
      Ranks ranks({.rank = 1, .size = 2, .port = port, .join_seconds = 30, .silence_seconds = 1});
      ranks.share([&] { ranks.gather("x"); });
    } catch (const Error& caught) {
      error = caught.what();
    }
  });
  {
    Ranks slow({.rank = 0, .size = 2, .port = port, .join_seconds = 30, .beat_seconds = 4});
    alive.join();
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  CHECK(error.find("rank 0 of 2 lost") != std::string::npos);
  CHECK(taken.count() < 30);
}

TEST_CASE("a group that cannot be is refused") {
  CHECK_THROWS_WITH_AS(Ranks({.rank = 2, .size = 2}), doctest::Contains("rank 2 of 2"), Error);
  CHECK_THROWS_WITH_AS(
      Ranks({.rank = 1, .size = 2, .host = "no-such-host.invalid", .join_seconds = 2}),
      doctest::Contains("no-such-host.invalid"), Error);
  CHECK_THROWS_WITH_AS(Ranks({.rank = 1, .size = 2, .port = free_port(), .join_seconds = 1}),
                       doctest::Contains("rank 0 does not answer"), Error);
}

TEST_CASE("tensors travel as bytes") {
  const torch::Tensor x = torch::arange(6, torch::kFloat32).view({2, 3});
  const torch::Tensor bytes = torch::cat({bytes_of(x), bytes_of(torch::tensor({7}))});
  std::int64_t offset = 0;
  CHECK(torch::equal(tensor_in(bytes, offset, {2, 3}, torch::kFloat32), x));
  CHECK(tensor_in(bytes, offset, {1}, torch::kInt64).item<std::int64_t>() == 7);
  CHECK(offset == bytes.numel());
  CHECK_THROWS_AS(tensor_in(bytes, offset, {1}, torch::kInt8), Error);
}
