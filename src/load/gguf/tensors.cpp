// Tensors of a GGUF file as a Hugging Face folder has them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "core/block.h"
#include "karat/error.h"
#include "load/gguf/model.h"
#include "load/json.h"

namespace karat {
namespace {

constexpr std::int64_t kMostBlocks = 4096;

/// "blk.3.attn_q.weight" as "blk.{}.attn_q", "3" and ".weight".
struct NameParts {
  std::string pattern, number, ending;
};

NameParts parts_of_name(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  NameParts parts{name.substr(0, dot), "", dot == name.npos ? "" : name.substr(dot)};
  constexpr std::string_view kBlock = "blk.";
  if (!parts.pattern.starts_with(kBlock)) return parts;
  const std::size_t end = parts.pattern.find('.', kBlock.size());
  if (end == name.npos) return parts;
  const std::string number = parts.pattern.substr(kBlock.size(), end - kBlock.size());
  std::int64_t value = -1;
  const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || stop != number.data() + number.size() || value < 0 ||
      value >= kMostBlocks || std::to_string(value) != number)
    return parts;
  parts.pattern.replace(kBlock.size(), number.size(), "{}");
  parts.number = number;
  return parts;
}

/// The name in a folder; one that no family has stays as it is.
std::string folder_name(const GgufFamily& family, const std::string& name) {
  const NameParts parts = parts_of_name(name);
  if (parts.ending != ".weight" && parts.ending != ".bias") return name;
  const auto found = std::ranges::find(family.names, parts.pattern, &GgufName::file);
  if (found == family.names.end()) return name;
  std::string folder(found->folder);
  if (const std::size_t hole = folder.find("{}"); hole != folder.npos)
    folder.replace(hole, 2, parts.number);
  return folder + parts.ending;
}

class Maker {
 public:
  Maker(const GgufModel& model, GgufTensors& result)
      : keys_(model.keys()), family_(model.family()), result_(result) {
    const std::string kv = keys_.own("attention.head_count_kv");
    if (!family_.paired) return;
    heads_ = keys_.count(keys_.own("attention.head_count"));
    kv_heads_ = keys_.has(kv) ? keys_.count(kv) : heads_;
  }

  TensorView make(const TensorView& view) {
    TensorView made = view;
    made.name = folder_name(family_, view.name);
    const auto known =
        std::ranges::find(family_.names, parts_of_name(view.name).pattern, &GgufName::file);
    if (known != family_.names.end() && known->row && view.shape.size() == 1)
      made.shape.insert(made.shape.begin(), 1);
    if (view.dtype == DType::block && view.shape.size() == 1) made = as_floats(made, 0);
    if (family_.paired && made.name.find(".self_attn.q_proj.") != made.name.npos)
      return pairs_apart(made, heads_);
    if (family_.paired && made.name.find(".self_attn.k_proj.") != made.name.npos)
      return pairs_apart(made, kv_heads_);
    if (family_.norm_offset != 0 && made.name.ends_with("norm.weight"))
      made = as_floats(made, -family_.norm_offset);
    return narrowed(made);
  }

 private:
  std::vector<std::byte>& new_bytes(std::size_t count) { return result_.made->emplace_back(count); }

  /// Rows 0, half, 1, half + 1 … of each head back to 0, 1 … half, half + 1 …
  TensorView pairs_apart(TensorView view, std::int64_t heads) {
    const std::int64_t rows = view.shape[0];
    if (rows % (2 * heads) != 0)
      fail("read " + keys_.path() + ", tensor " + view.name, fmt::format("{} rows", rows),
           fmt::format("an even number for each of {} heads", heads));
    const std::size_t row = view.bytes() / static_cast<std::size_t>(rows);
    std::vector<std::byte>& bytes = new_bytes(view.bytes());
    const std::int64_t size = rows / heads, half = size / 2;
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t in_head = i % size;
      const std::int64_t from = i - in_head + in_head % half * 2 + in_head / half;
      std::memcpy(bytes.data() + static_cast<std::size_t>(i) * row,
                  view.data + static_cast<std::size_t>(from) * row, row);
    }
    view.data = bytes.data();
    return view;
  }

  TensorView as_floats(TensorView view, float added) {
    std::vector<float> values = to_floats(view);
    for (float& value : values) value += added;
    std::vector<std::byte>& bytes = new_bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    view.dtype = DType::f32;
    view.block = nullptr;
    view.data = bytes.data();
    return view;
  }

  /// A vector, or positions, in the embedding's type where that holds every value exactly.
  TensorView narrowed(TensorView view) {
    const TensorView* embedding = keys_.find_tensor("token_embd.weight");
    const bool small = view.shape.size() == 1 || view.name.ends_with("wpe.weight");
    if (!small || embedding == nullptr || view.dtype != DType::f32) return view;
    const bool half = embedding->dtype == DType::f16;
    if (!half && embedding->dtype != DType::bf16) return view;
    const std::vector<float> values = to_floats(view);
    std::vector<std::uint16_t> narrow(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      narrow[i] = half ? float_to_f16(values[i]) : float_to_bf16(values[i]);
      if ((half ? f16_to_float(narrow[i]) : bf16_to_float(narrow[i])) != values[i]) return view;
    }
    std::vector<std::byte>& bytes = new_bytes(values.size() * 2);
    std::memcpy(bytes.data(), narrow.data(), bytes.size());
    view.dtype = embedding->dtype;
    view.data = bytes.data();
    return view;
  }

  GgufKeys keys_;
  GgufFamily family_;
  GgufTensors& result_;
  std::int64_t heads_ = 0, kv_heads_ = 0;
};

}  // namespace

GgufTensors gguf_tensors(const GgufModel& model) {
  GgufTensors result{{}, std::make_shared<std::deque<std::vector<std::byte>>>()};
  const GgufKeys keys = model.keys();
  Maker maker(model, result);
  const bool head = has_own_head(keys);
  for (const TensorView& view : keys.content().tensors) {
    const bool in_config = view.name == "rope_freqs.weight";
    if (!in_config && (head || view.name != "output.weight"))
      result.tensors.push_back(maker.make(view));
  }
  std::ranges::sort(result.tensors, {}, &TensorView::name);
  const auto twice = std::ranges::adjacent_find(result.tensors, {}, &TensorView::name);
  if (twice != result.tensors.end())
    fail("read " + keys.path(), "two tensors for " + excerpt(twice->name), "one");
  return result;
}

}  // namespace karat
