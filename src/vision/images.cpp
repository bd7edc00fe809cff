#include "vision/images.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <sstream>

#include "core/rng.h"
#include "karat/error.h"
#include "karat/graph.h"
#include "karat/safetensors.h"

namespace karat {
namespace {

[[noreturn]] void reject(const std::filesystem::path& file, const std::string& got) {
  fail(fmt::format("images {}", file.string()), got,
       "U8 tensors images [n, 3, side, side], labels [n] and domains [n]",
       "tools/pacs.py writes such a file");
}

torch::Tensor tensor_of(const Safetensors& opened, const std::filesystem::path& file,
                        const std::string& name, std::size_t dimensions) {
  const TensorView* view = opened.find(name);
  if (view == nullptr) reject(file, "no tensor " + name);
  if (view->dtype != DType::u8 || view->shape.size() != dimensions)
    reject(file, fmt::format("{} of another type or shape", name));
  return map_tensor(*view).clone();
}

/// Brightness in −1 … 1 of stripes at an angle, [side, side].
torch::Tensor stripes(std::int64_t side, double angle, double period, double phase) {
  const auto place = torch::arange(side, torch::kFloat32);
  const auto along = place.unsqueeze(1) * std::sin(angle) + place.unsqueeze(0) * std::cos(angle);
  return (along * (2 * std::numbers::pi / period) + phase).sin();
}

}  // namespace

DomainImages read_domain_images(const std::filesystem::path& file) {
  const Safetensors opened = Safetensors::open(file);
  DomainImages set{.images = tensor_of(opened, file, "images", 4),
                   .labels = tensor_of(opened, file, "labels", 1).to(torch::kInt64),
                   .domains = tensor_of(opened, file, "domains", 1).to(torch::kInt64),
                   .domain_names = {},
                   .classes = 0};
  opened.check();
  const std::int64_t n = set.images.size(0);
  if (n == 0 || set.images.size(1) != 3 || set.images.size(2) != set.images.size(3) ||
      set.labels.size(0) != n || set.domains.size(0) != n)
    reject(file, fmt::format("{} images, {} labels, {} domains", n, set.labels.size(0),
                             set.domains.size(0)));
  const auto names = opened.metadata().find("domains");
  std::stringstream text(names == opened.metadata().end() ? std::string() : names->second);
  for (std::string name; std::getline(text, name, ',');) set.domain_names.push_back(name);
  const auto domains = set.domains.max().item<std::int64_t>() + 1;
  if (static_cast<std::int64_t>(set.domain_names.size()) != domains)
    reject(file, fmt::format("{} domains and {} names", domains, set.domain_names.size()));
  set.classes = set.labels.max().item<std::int64_t>() + 1;
  return set;
}

DomainImages striped_domains(std::int64_t per_domain, std::int64_t side, std::uint64_t seed) {
  constexpr std::int64_t kDirections = 4;
  Rng rng(seed);
  std::vector<torch::Tensor> images;
  std::vector<std::int64_t> labels, domains;
  for (std::int64_t domain = 0; domain < 2; ++domain)
    for (std::int64_t i = 0; i < per_domain; ++i) {
      const std::int64_t label = i % kDirections;
      const double angle = std::numbers::pi * static_cast<double>(label) / kDirections;
      auto image = stripes(side, angle, domain == 0 ? 6 : 8, 2 * std::numbers::pi * rng.uniform());
      if (domain == 1) image = -image * 0.7;
      auto values = image.accessor<float, 2>();
      if (domain == 1)
        for (std::int64_t y = 0; y < side; ++y)
          for (std::int64_t x = 0; x < side; ++x)
            values[y][x] += static_cast<float>(0.6 * (rng.uniform() - 0.5));
      images.push_back(
          (image.clamp(-1, 1) * 127 + 128).to(torch::kUInt8).unsqueeze(0).expand({3, side, side}));
      labels.push_back(label);
      domains.push_back(domain);
    }
  return {torch::stack(images),
          torch::tensor(labels),
          torch::tensor(domains),
          {"bright", "dark"},
          kDirections};
}

torch::Tensor as_input(const torch::Tensor& images) {
  return images.to(torch::kFloat32).div_(127.5).sub_(1);
}

torch::Tensor augmented(const torch::Tensor& images, std::uint64_t seed) {
  const std::int64_t side = images.size(2), reach = side / 8, places = 2 * reach + 1;
  const auto padded = torch::reflection_pad2d(as_input(images), {reach, reach, reach, reach});
  std::vector<torch::Tensor> changed;
  for (std::int64_t i = 0; i < images.size(0); ++i) {
    Rng rng(seed + static_cast<std::uint64_t>(i));
    const auto top = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(places)));
    const auto left = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(places)));
    auto image = padded[i].narrow(1, top, side).narrow(2, left, side);
    if (rng.below(2) == 1) image = image.flip(2);
    if (rng.below(10) == 0) image = image.mean(0, /*keepdim=*/true).expand({3, side, side});
    const double contrast = 0.7 + 0.6 * rng.uniform(), light = 0.6 * (rng.uniform() - 0.5);
    changed.push_back(image * contrast + light);
  }
  return torch::stack(changed);
}

}  // namespace karat
