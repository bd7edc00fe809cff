#include "load/gguf/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "karat/error.h"
#include "load/json.h"
#include "load/tokenizer_text.h"

namespace karat {
namespace {

constexpr std::int64_t kMaxCount = std::int64_t{1} << 31;

}  // namespace

void GgufKeys::reject(const std::string& key, const std::string& got, const std::string& expected,
                      const std::string& hint) const {
  fail(fmt::format("read {}, key {}", path_, excerpt(key)), got, expected, hint);
}

const GgufValue* GgufKeys::find(const std::string& key) const {
  const auto found = content_->values.find(key);
  return found == content_->values.end() ? nullptr : &found->second;
}

std::optional<std::int64_t> GgufKeys::find_integer(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<std::int64_t>(value)) return *number;
  const auto* number = std::get_if<std::uint64_t>(value);
  if (number == nullptr || *number > INT64_MAX) reject(key, "another value", "an integer");
  return static_cast<std::int64_t>(*number);
}

std::int64_t GgufKeys::count(const std::string& key) const {
  const auto number = find_integer(key);
  if (!number) reject(key, "nothing", "a whole number from 1");
  if (*number < 1 || *number > kMaxCount)
    reject(key, std::to_string(*number), fmt::format("a whole number from 1 to {}", kMaxCount));
  return *number;
}

std::optional<double> GgufKeys::find_number(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* number = std::get_if<double>(value);
  if (number == nullptr || !std::isfinite(*number)) reject(key, "another value", "a finite float");
  return *number;
}

std::optional<bool> GgufKeys::find_flag(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const bool* flag = std::get_if<bool>(value);
  if (flag == nullptr) reject(key, "another value", "a flag");
  return *flag;
}

std::optional<std::string> GgufKeys::find_text(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* found = std::get_if<std::string_view>(value);
  if (found == nullptr) reject(key, "another value", "a text");
  if (valid_utf8(*found) != *found) reject(key, "bytes that are no UTF-8", "a text");
  return std::string(*found);
}

std::string GgufKeys::text(const std::string& key) const {
  auto found = find_text(key);
  if (!found) reject(key, "nothing", "a text", "this file holds no model, or not all of its keys");
  return *std::move(found);
}

std::vector<std::string_view> GgufKeys::texts(const std::string& key) const {
  const GgufValue* value = find(key);
  const auto* array = value == nullptr ? nullptr : std::get_if<GgufArray>(value);
  if (array == nullptr || array->type != GgufType::text)
    reject(key, value == nullptr ? "nothing" : "another value", "an array of texts");
  return texts_of(*array);
}

std::vector<double> GgufKeys::numbers(const std::string& key, std::size_t size) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return {};
  const auto* array = std::get_if<GgufArray>(value);
  if (array == nullptr || array->type == GgufType::text)
    reject(key, "another value", "an array of numbers");
  if (array->count != size)
    reject(key, fmt::format("{} numbers", array->count), std::to_string(size));
  return numbers_of(*array);
}

const TensorView* GgufKeys::find_tensor(std::string_view name) const {
  const auto found = std::ranges::find(content_->tensors, name, &TensorView::name);
  return found == content_->tensors.end() ? nullptr : &*found;
}

}  // namespace karat
