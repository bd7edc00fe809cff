#include "serve/scheduler.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "serve/answer.h"
#include "serve/api_error.h"

namespace karat {
namespace {

using namespace std::chrono_literals;

struct Served {
  std::filesystem::path folder = std::filesystem::path(KARAT_SOURCE_DIR) / "models" / "karat-tiny";
  LanguageModel model = LanguageModel::open(folder);
  Tokenizer tokenizer = Tokenizer::open(folder);
  Engine engine{model, {.room = 4096, .independent = true}};

  Generation greedy(std::string_view prompt, std::int64_t tokens) const {
    return {.prompt = tokenizer.encode(prompt), .max_new = tokens, .sampling = {.temperature = 0}};
  }
};

/// All of one text, once it is complete.
Generated finished(ServedRequest& request, std::string* pieces = nullptr) {
  while (true) {
    std::optional<ServedPiece> piece = request.next(20s);
    REQUIRE(piece.has_value());
    REQUIRE(piece->error == "");
    if (pieces) *pieces += piece->piece;
    if (piece->done) return std::move(*piece->done);
  }
}

TEST_CASE("texts of many threads are what each alone gives, whoever leaves") {
  Served served;
  const std::vector<std::string> prompts{"The captain", "It was", "dark night and", "a"};
  std::vector<std::string> alone;
  for (const std::string& prompt : prompts)
    alone.push_back(generate(served.engine, served.tokenizer, served.greedy(prompt, 12)).text);
  Scheduler scheduler(served.engine, served.tokenizer, {.parallel = 3, .queue = 20, .seconds = 60});
  std::vector<std::thread> clients;
  std::vector<std::string> texts(8);
  for (std::size_t i = 0; i < texts.size(); ++i)
    clients.emplace_back([&, i] {
      if (i % 3 == 0) {
        const auto left = scheduler.submit({served.greedy("The captain", 200)});
        left->next(1ms);
        left->cancel();
      }
      const auto request = scheduler.submit({served.greedy(prompts[i % 4], 12)});
      finished(*request, &texts[i]);
    });
  for (std::thread& client : clients) client.join();
  for (std::size_t i = 0; i < texts.size(); ++i) CHECK(texts[i] == alone[i % 4]);
}

TEST_CASE("too many requests, late ones and slow ones are ended") {
  Served served;
  Scheduler scheduler(served.engine, served.tokenizer,
                      {.parallel = 1, .queue = 0, .seconds = 0.05});
  const auto status = [&] {
    try {
      scheduler.submit({served.greedy("a", 1)});
    } catch (const ApiError& error) {
      return error.status;
    }
    return 200;
  };
  auto request = scheduler.submit({served.greedy("The captain", 500)});
  CHECK(status() == 429);
  CHECK(finished(*request).ending == Ending::cancelled);
  request.reset();
  while (scheduler.open() > 0) std::this_thread::sleep_for(1ms);  // its thread lets go of it last
  scheduler.close();
  CHECK(status() == 503);
  CHECK(scheduler.counts().refused == 2);
}

TEST_CASE("what nobody has taken grows together") {
  std::atomic<std::int64_t> open = 0;
  ServedRequest request(open, ServedRequest::Clock::now() + 60s);
  for (int i = 0; i < 1000; ++i)
    request.push({.text = static_cast<std::size_t>(i % 2), .piece = "x"});
  CHECK(request.next(0ms)->piece == std::string(500, 'x'));
  CHECK(request.next(0ms)->text == 1);
  CHECK(!request.next(0ms));
  CHECK(open == 1);
}

TEST_CASE("errors are OpenAI's object") {
  CHECK(error_answer(400, "no “x”", "x") ==
        R"({"error":{"message":"no “x”","type":"invalid_request_error","param":"x","code":400}})");
}

}  // namespace
}  // namespace karat
