// Training text as one stream of token ids, and the batches drawn from it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "karat/progress.h"
#include "karat/safetensors.h"
#include "karat/text_file.h"
#include "karat/tokenizer.h"
#include "karat/torch.h"

namespace karat {

/// The documents of a text: what lies between lines `<|endoftext|>`, blank ones left out.
std::vector<std::string_view> separated_documents(std::string_view text);
/// Those of a file: JSON records are documents. The views are those of `file`.
std::vector<std::string_view> documents_of(const TextFile& file);

/// Text files, and the key of the texts where they hold JSON records.
struct TextFiles {
  std::vector<std::filesystem::path> files;
  std::string field = "text";
};

/// Token ids of whole files, mapped from a cache: [separator, document, separator, document, …].
class TokenStreamFile {
 public:
  /// Tokenizes `files` in parallel unless `cache_folder` already holds the result for the same
  /// bytes, tokenizer and separator.
  static TokenStreamFile open(const TextFiles& texts, const std::filesystem::path& tokenizer_folder,
                              TokenId separator, const std::filesystem::path& cache_folder,
                              const ProgressFn& listener);

  std::int64_t size() const { return tokens().numel(); }
  /// ids [1, length] from `begin`, int64.
  torch::Tensor slice(std::int64_t begin, std::int64_t length) const;
  const std::string& hash() const { return hash_; }  // of everything the ids depend on

 private:
  const TensorView& tokens() const { return file_->get("tokens"); }
  std::shared_ptr<const Safetensors> file_;
  std::string hash_;
};

/// A seeded, shuffled pass over windows of `length` ids after another. Neighbouring windows share
/// one id, so every id is a target once per pass; each pass shuffles again and begins elsewhere.
/// Where a window lies depends on its number alone: a resumed run needs no other state.
class WindowOrder {
 public:
  WindowOrder(std::int64_t stream_size, std::int64_t length, std::uint64_t seed);
  std::int64_t begin_of(std::int64_t number);  // of window 0, 1, 2, … of the whole training
  std::int64_t per_pass() const { return per_pass_; }

 private:
  void shuffle(std::int64_t pass);
  std::int64_t stride_, slack_, per_pass_, pass_ = -1, offset_ = 0;
  std::uint64_t seed_;
  std::vector<std::int32_t> order_;
};

}  // namespace karat
