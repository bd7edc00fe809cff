// "key=value,key=value": the options of one axis value, typed, bounded, and never silently ignored.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

/// One option that a factory asked for, as help and error messages name it.
struct OptionEntry {
  std::string key, value, help;
  bool operator==(const OptionEntry&) const = default;
};

/// A factory asks for each option it knows by key, default and bounds; finish() then rejects what
/// nobody asked for. `owner` ("grid uniform") is named in errors.
class Options {
 public:
  /// Text as on the command line, "bits=3,group=16". A first item without "=" is the value of
  /// whatever key the factory asks for first ("0.01" of top:0.01). Throws on malformed text.
  Options(std::string owner, std::string_view text);

  std::int64_t integer(const std::string& key, std::int64_t fallback, std::int64_t low,
                       std::int64_t high, std::string help);
  double number(const std::string& key, double fallback, double low, double high, std::string help);
  bool flag(const std::string& key, bool fallback, std::string help);
  std::string choice(const std::string& key, const std::string& fallback,
                     const std::vector<std::string>& allowed, std::string help);

  /// Throws when the text held a key that no call above asked for, listing the known ones.
  void finish() const;
  /// Every option asked for with its value in force: "bits=3,group=16,bilevel=1".
  std::string text() const;
  const std::vector<OptionEntry>& known() const { return known_; }

  /// `text` with the value of `key` replaced or added.
  static std::string with(std::string_view text, std::string_view key, std::string_view value);
  /// `text` without the key, and its value: nothing when it is not there.
  static std::string without(std::string_view text, std::string_view key);
  static std::optional<std::string> find(std::string_view text, std::string_view key);

 private:
  std::string take(const std::string& key, std::string fallback, std::string help);
  [[noreturn]] void reject(const std::string& key, const std::string& value,
                           const std::string& expected) const;
  std::string owner_;
  std::map<std::string, std::string> given_;  // "" holds the item without a key
  std::vector<OptionEntry> known_;
};

/// "0.01" for 0.01: the shortest text that reads back as the same number.
std::string number_text(double value);
/// "rtn, gptq, gwq"
std::string list_text(const std::vector<std::string>& items);

}  // namespace karat
