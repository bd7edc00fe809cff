// An original's logits in one small file, so that it runs once for many candidates. The container
// is safetensors, whose reader checks every size before anything is used.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/output.h"
#include "evaluate/logit_rows.h"
#include "karat/evaluate.h"
#include "karat/safetensors.h"

namespace karat {

/// What the numbers depend on. Written into the file and compared when it is read.
struct CacheFingerprint {
  std::string text_sha256 = {}, convention = {}, tokenizer_sha256 = {};
  std::string windows_sha256 = {};  // of every window's tokens and first scored position
  std::int64_t stride = 0, limit = 0, vocab = 0, rows = 0;
  std::string original = {}, original_sha256 = {};  // folder; config.json and weights
};

/// Takes rows in any order, from many threads.
class LogitRecorder {
 public:
  LogitRecorder(std::int64_t vocab, std::int64_t rows);
  CachedRow record(std::int64_t row, std::span<const float> logits, const LogSoftmax& p,
                   TokenId next);
  const RowShape& shape() const { return shape_; }
  /// Writes the file; returns its bytes.
  std::int64_t write(const Output& output, const CacheFingerprint& fingerprint,
                     const CacheCheck& check) const;

 private:
  RowShape shape_;
  std::int64_t vocab_;
  std::vector<float> nll_;                   // [rows]
  std::vector<std::uint16_t> rest_, codes_;  // [rows], [rows, entries]
  std::vector<TokenId> ids_;                 // [rows, entries]
};

/// What keeps `file` from being such a file; empty: nothing.
std::string not_logits(const std::filesystem::path& file);

class LogitCache {
 public:
  /// Throws Error when the file is damaged, no cache of this version, or not of this fingerprint
  /// (the original aside: a cache tells which it was made of).
  static LogitCache open(const std::filesystem::path& file, const CacheFingerprint& expected);
  CachedRow row(std::int64_t index) const;
  const RowShape& shape() const { return shape_; }
  std::int64_t rows() const { return rows_; }
  const std::string& original() const { return original_; }
  const std::string& original_sha256() const { return original_sha256_; }
  const CacheCheck& check() const { return check_; }  // as measured when it was written

 private:
  LogitCache() = default;
  void find_tensors(const std::string& where);
  void check_rows(const std::string& where, std::int64_t vocab) const;
  Safetensors file_;
  RowShape shape_;
  std::int64_t rows_ = 0;
  std::string original_, original_sha256_;
  CacheCheck check_;
  const std::byte *nll_ = nullptr, *rest_ = nullptr, *ids_ = nullptr, *codes_ = nullptr;
  bool wide_ = false;
};

std::string hash_windows(std::span<const Window> windows);
std::string hash_files(std::span<const std::filesystem::path> files);

}  // namespace karat
