#include "task/requests.h"

#include <algorithm>

#include "karat/error.h"
#include "task/text.h"

namespace karat {
namespace {

constexpr const char* kTooLong =
    "--skip-bad leaves such items out, --truncate cuts them at their left";

}  // namespace

Encoder::Encoder(const LanguageModel& model, bool truncate)
    : tokenizer_(Tokenizer::open(model.folder())),
      arch_(model.architecture()),
      truncate_(truncate) {}

std::vector<TokenId> Encoder::prefix_token(const std::string& where) const {
  if (tokenizer_.bos()) return {*tokenizer_.bos()};
  if (arch_.bos) return {*arch_.bos};
  if (!arch_.eos.empty()) return {arch_.eos.front()};
  fail(where, "an empty context", "text, or a model with a BOS or EOS token");
}

void Encoder::fit(std::vector<TokenId>& ids, std::int64_t limit, const std::string& where) const {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  if (tokens <= limit) return;
  if (!truncate_ || limit < 1)
    fail(where, std::to_string(tokens) + " tokens",
         "at most " + std::to_string(limit) + " for the context of this model", kTooLong);
  ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(limit));
}

Sequence Encoder::encode(const Question::Request& request, const std::string& where) const {
  const std::string_view context = without_trailing_space(request.context);
  std::vector<TokenId> ids, whole;
  if (request.context.empty()) {
    ids = prefix_token(where);
    whole = tokenizer_.encode(request.continuation, false);
    if (whole.empty() || whole.front() != ids.front()) whole.insert(whole.begin(), ids.front());
  } else {
    ids = tokenizer_.encode(context);
    whole = tokenizer_.encode(request.context + request.continuation);
  }
  if (whole.size() <= ids.size() || ids.empty())
    fail(where, "a continuation that adds no token to its context", "at least one token to score");
  const auto scored = static_cast<std::int64_t>(whole.size() - ids.size());
  Sequence sequence{std::move(ids), scored};
  sequence.ids.insert(sequence.ids.end(),
                      whole.end() - static_cast<std::ptrdiff_t>(sequence.scored), whole.end());
  if (sequence.scored > arch_.max_positions)
    fail(where, std::to_string(sequence.scored) + " tokens to score",
         "at most " + std::to_string(arch_.max_positions), kTooLong);
  fit(sequence.ids, arch_.max_positions + 1, where);  // the last one is not read, only scored
  return sequence;
}

std::vector<TokenId> Encoder::prompt(const std::string& text, std::int64_t most_tokens,
                                     const std::string& where) const {
  std::vector<TokenId> ids = tokenizer_.encode(text);
  if (ids.empty()) fail(where, "an empty prompt", "text");
  fit(ids, arch_.max_positions - most_tokens, where);
  return ids;
}

}  // namespace karat
