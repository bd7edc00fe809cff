// Half floats, files, threads, rng, hashes: against closed forms and published vectors.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/checked.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/lines.h"
#include "core/page_guard.h"
#include "core/rng.h"
#include "core/threads.h"
#include "karat/error.h"
#include "karat/tensor_view.h"

using namespace karat;
namespace fs = std::filesystem;

TEST_CASE("every half survives the round trip, NaNs stay NaN") {
  for (std::uint32_t h = 0; h < 0x10000; ++h) {
    const auto bits = static_cast<std::uint16_t>(h);
    const float f = f16_to_float(bits), b = bf16_to_float(bits);
    if (std::isnan(f))
      CHECK(std::isnan(f16_to_float(float_to_f16(f))));
    else
      CHECK(float_to_f16(f) == bits);
    if (std::isnan(b))
      CHECK(std::isnan(bf16_to_float(float_to_bf16(b))));
    else
      CHECK(float_to_bf16(b) == bits);
  }
}

TEST_CASE("halves round to nearest, ties to even") {
  CHECK(float_to_f16(1.0f + 0x1p-11f) == 0x3c00);      // tie, down to even
  CHECK(float_to_f16(1.0f + 3 * 0x1p-11f) == 0x3c02);  // tie, up to even
  CHECK(float_to_f16(65519.0f) == 0x7bff);             // largest finite
  CHECK(float_to_f16(65520.0f) == 0x7c00);             // infinity
  CHECK(float_to_f16(0x1p-25f) == 0);                  // tie between 0 and the least subnormal
  CHECK(float_to_f16(0x1.8p-25f) == 1);
  CHECK(float_to_bf16(1.0f + 0x1p-8f) == 0x3f80);
  CHECK(float_to_bf16(1.0f + 3 * 0x1p-8f) == 0x3f82);
}

TEST_CASE("sha256 of the NIST vectors") {
  const std::string abc = "abc";
  CHECK(sha256(std::as_bytes(std::span(abc))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("parallel_for covers every index once, whatever the threads, and passes errors on") {
  for (int threads : {1, 2, 5}) {
    const ThreadScope scope(threads);
    std::vector<int> hits(1003, 0);
    parallel_for(1003, 10, [&](auto begin, auto end) {
      for (auto i = begin; i < end; ++i) ++hits[static_cast<std::size_t>(i)];
    });
    CHECK(std::accumulate(hits.begin(), hits.end(), 0) == 1003);
    CHECK(*std::max_element(hits.begin(), hits.end()) == 1);
    CHECK_THROWS_AS(parallel_for(8, 1, [](auto, auto) { fail("x", "y", "z"); }), Error);
  }
  CHECK_THROWS_WITH_AS(make_pool(0), "threads: got 0, expected at least 1", Error);
}

TEST_CASE("a mapped file that is cut reads as zeros from there on, and is named when asked") {
  const fs::path path = fs::temp_directory_path() / "karat_core_test_cut";
  const fs::path other = fs::temp_directory_path() / "karat_core_test_whole";
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  for (int round = 0; round < 3; ++round) {  // guards are used again
    write_file(path, std::string(5 * page - 100, 'x'));
    write_file(other, std::string(2 * page, 'x'));
    const auto cut = MappedFile::open(path), whole = MappedFile::open(other);
    cut->check();
    fs::resize_file(path, page);
    std::vector<std::size_t> seen(4);
    std::vector<std::thread> readers;
    for (std::size_t& count : seen)
      readers.emplace_back(
          [&] { count = static_cast<std::size_t>(std::ranges::count(cut->text(), 'x')); });
    for (std::thread& reader : readers) reader.join();
    CHECK(seen == std::vector<std::size_t>(4, page));
    CHECK(std::ranges::count(whole->text(), 'x') == static_cast<std::ptrdiff_t>(2 * page));
    CHECK_THROWS_WITH_AS(cut->check(), doctest::Contains("karat_core_test_cut"), Error);
    whole->check();
    MappedFile::open(path)->check();
  }
  fs::remove(path);
  fs::remove(other);
}

TEST_CASE("pages are replaced in the file that lost them alone, while guards come and go") {
  const fs::path path = fs::temp_directory_path() / "karat_core_test_lost";
  const fs::path other = fs::temp_directory_path() / "karat_core_test_kept";
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  constexpr std::size_t kPages = 64, kGuards = 2;
  write_file(other, std::string(kPages * page, 'x'));
  std::atomic<bool> stop = false;
  std::atomic<int> rounds = 0, wrong = 0;
  const auto is_whole = [&](std::string_view text) {
    return std::ranges::count(text, 'x') == static_cast<std::ptrdiff_t>(kPages * page);
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kGuards; ++i)
    threads.emplace_back([&] {
      while (!stop) {
        const auto file = MappedFile::open(other);
        void* memory = const_cast<std::byte*>(file->bytes().data());
        for (int guard = 0; guard < 2000; ++guard)
          wrong += PageGuard(memory, page).lost();  // as often as can be
        wrong += !is_whole(file->text());
        file->check();
        ++rounds;
      }
    });
  for (int round = 0; round < 200 || rounds < 20; ++round) {
    write_file(path, std::string(kPages * page, 'x'));
    const auto file = MappedFile::open(path);
    fs::resize_file(path, page);
    for (std::size_t i = kPages; i-- > 1;) wrong += file->text()[i * page] != 0;  // a fault each
    CHECK(std::ranges::count(file->text(), 'x') == static_cast<std::ptrdiff_t>(page));
    CHECK_THROWS_AS(file->check(), Error);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong.load() == 0);
  fs::remove(path);
  fs::remove(other);
}

TEST_CASE("a file that was cut is what is wrong, whatever its reader returns or throws") {
  const fs::path path = fs::temp_directory_path() / "karat_core_test_checked";
  write_file(path, "text");
  const auto file = MappedFile::open(path);
  checked(*file, [] {});
  CHECK_THROWS_WITH_AS(checked(*file, [] { throw std::runtime_error("other"); }), "other",
                       std::runtime_error);
  fs::resize_file(path, 1);
  CHECK_THROWS_WITH_AS(checked(*file, [] {}), doctest::Contains("karat_core_test_checked"), Error);
  CHECK_THROWS_WITH_AS(checked(*file, [] { throw std::runtime_error("other"); }),
                       doctest::Contains("karat_core_test_checked"), Error);
  fs::remove(path);
}

volatile std::sig_atomic_t bus_errors = 0;

TEST_CASE("a bus error of others, in a process of its own" * doctest::skip()) {
  std::signal(SIGBUS, [](int) { bus_errors = bus_errors + 1; });  // before Karat maps anything
  const fs::path path = fs::temp_directory_path() / "karat_core_test_bus";
  write_file(path, std::string(100, 'x'));
  const auto file = MappedFile::open(path);
  std::raise(SIGBUS);
  CHECK(bus_errors == 1);
  fs::resize_file(path, 0);
  CHECK(file->text()[50] == '\0');
  CHECK(bus_errors == 1);
  CHECK_THROWS_AS(file->check(), Error);
  fs::remove(path);
}

TEST_CASE("bus errors of others go to the handler that was there before") {
  const std::string self = fs::read_symlink("/proc/self/exe");
  const std::string command =
      "'" + self + "' --no-skip -tc='a bus error of others, in a process of its own' > /dev/null";
  CHECK(std::system(command.c_str()) == 0);
}

TEST_CASE("files of many pieces, longer than what is written at once") {
  const fs::path path = fs::temp_directory_path() / "karat_core_test_pieces";
  std::vector<std::byte> whole(17'000'003);
  for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<std::byte>(i * 31 >> 3);
  const std::span<const std::byte> all(whole);
  const std::vector<std::span<const std::byte>> pieces{
      all.first(5), {}, all.subspan(5, 9'000'000), all.subspan(9'000'005)};
  write_file(path, pieces);
  CHECK(std::ranges::equal(MappedFile::open(path)->bytes(), all));
  fs::remove(path);
}

TEST_CASE("no range of parallel_for is longer than its grain, in a nested call neither") {
  const ThreadScope scope(2);
  std::atomic<std::int64_t> longest = 0, covered = 0;
  const auto see = [&](auto begin, auto end) {
    covered += end - begin;
    for (std::int64_t seen = longest; seen < end - begin;)
      if (longest.compare_exchange_weak(seen, end - begin)) break;
  };
  parallel_for(47, 10, see);
  parallel_for(3, 1, [&](auto, auto) { parallel_for(47, 10, see); });
  CHECK(longest == 10);
  CHECK(covered == 4 * 47);
}

TEST_CASE("what is to be read next is only requested: it need not be there") {
  for (const int threads : {1, 2, 5}) {
    const ThreadScope scope(threads);
    for (const std::int64_t rows : {0, 1, 7, 1000}) {
      const auto* nowhere = reinterpret_cast<const std::byte*>(std::uintptr_t{1} << 40);
      const Upcoming gone{{{nowhere, rows, 4096}, {nowhere, 40, 64}}, 16};
      std::vector<std::atomic<int>> seen(300);
      for (int round = 0; round < 20; ++round)
        parallel_for(
            300, 7,
            [&](std::int64_t begin, std::int64_t end) {
              for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
            },
            gone);
      CHECK(std::ranges::all_of(seen, [](int count) { return count == 20; }));
    }
  }
}

TEST_CASE("a thread's scope ends with it, and no other thread has it") {
  const int before = thread_count();
  {
    const ThreadScope outer(3);
    CHECK(thread_count() == 3);
    {
      const ThreadScope inner(2);
      CHECK(thread_count() == 2);
      int elsewhere = 0;
      std::thread([&] { elsewhere = thread_count(); }).join();
      CHECK(elsewhere == before);
      std::atomic<int> wrong = 0;
      parallel_for(8, 1, [&](auto, auto) { wrong += thread_count() != 2; });
      CHECK(wrong.load() == 0);
    }
    CHECK(thread_count() == 3);
  }
  CHECK(thread_count() == before);
}

TEST_CASE("many short rounds: none is lost, whether threads still look or sleep already") {
  for (const int threads : {2, 4, 8}) {  // more than this machine may have
    const ThreadScope scope(threads);
    std::int64_t wrong = 0;
    for (int round = 0; round < 3000; ++round) {
      if (round % 1000 == 999) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      std::vector<int> hits(9, 0);
      parallel_for(9, 1, [&](auto begin, auto) {
        parallel_for(3, 1, [&](auto from, auto to) {  // in place
          hits[static_cast<std::size_t>(begin)] += static_cast<int>(to - from);
        });
      });
      wrong += std::count(hits.begin(), hits.end(), 3) != 9;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("rng: SplitMix64's published first outputs, and below() stays in range") {
  Rng rng(1234567);  // vectors of the reference implementation (Vigna, splitmix64.c)
  CHECK(rng.next() == 6457827717110365317u);
  CHECK(rng.next() == 3203168211198807973u);
  for (int i = 0; i < 1000; ++i) CHECK(rng.below(7) < 7);
}

TEST_CASE("lines: blank ones are counted and left out, the last one may lack its end") {
  const auto lines_of = [](std::string_view text) {
    std::vector<std::pair<std::int64_t, std::string>> found;
    for (Lines lines(text); lines.next();)
      found.emplace_back(lines.number(), std::string(lines.line()));
    return found;
  };
  using Found = std::vector<std::pair<std::int64_t, std::string>>;
  CHECK(lines_of("a\n\n \t\r\n b\r\nc") == Found{{1, "a"}, {4, " b\r"}, {5, "c"}});
  CHECK(lines_of("a\n") == Found{{1, "a"}});
  CHECK(lines_of("\n\n").empty());
  CHECK(lines_of("").empty());
}

TEST_CASE("a full disk fails loudly and leaves no file") {
  if (!fs::exists("/dev/full")) return;
  CHECK_THROWS_AS(write_file("/dev/full/x", "text"), Error);
  const std::string text(1 << 16, 'x');
  const fs::path link = fs::temp_directory_path() / "karat-full-disk";
  fs::remove(link);
  fs::create_symlink("/dev/full", link);
  CHECK_THROWS_AS(write_file(link, text), Error);
  CHECK(!fs::exists(fs::symlink_status(link)));
}
