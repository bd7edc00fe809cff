#include <doctest/doctest.h>

#include "core/temporary.h"
#include "core/threads.h"
#include "karat/error.h"
#include "karat/safetensors.h"
#include "vision/generalize.h"

namespace karat {
namespace {

GeneralizeOptions short_run() {
  return {.target = 1,
          .bits = 3,
          .width = 8,
          .steps = 24,
          .batch = 16,
          .micro_batch = 8,
          .validate_every = 12};
}

TEST_CASE("striped domains have each direction equally often, and no image twice") {
  const DomainImages set = striped_domains(8, 16, 1);
  CHECK(set.images.sizes() == torch::IntArrayRef{16, 3, 16, 16});
  CHECK(set.labels.bincount().eq(4).all().item<bool>());
  CHECK(set.domains.bincount().eq(8).all().item<bool>());
  for (std::int64_t i = 0; i < 16; ++i)
    for (std::int64_t j = 0; j < i; ++j) CHECK_FALSE(torch::equal(set.images[i], set.images[j]));
}

TEST_CASE("with steps so small that rounding is fine, a quantized network computes the plain one") {
  const VisionShape shape{.classes = 4, .width = 8};
  Weights weights = vision_weights(shape, 3);
  const auto images = as_input(striped_domains(4, 16, 1).images);
  const auto plain = vision_logits(shape, weights, images, plain_convolution);
  for (const auto& [name, step] : vision_steps(shape, weights, images, 8)) {
    CHECK(step.item<float>() > 0);
    weights[name] = step;
  }
  const auto eight = vision_logits(shape, weights, images, quantized_convolution(8));
  CHECK((eight - plain).norm().item<double>() < 0.1 * plain.norm().item<double>());
  CHECK((eight - plain).abs().max().item<double>() > 0);
}

TEST_CASE("a network learns its source domain") {
  GeneralizeOptions options = short_run();
  options.bits = 4;
  options.policy = "gaqat:window=6,threshold=0.5";
  options.steps = 60;
  const GeneralizeResult result = generalize(striped_domains(80, 16, 1), options);
  CHECK(result.curve.back().loss < 0.6 * std::log(4.0));
  CHECK(result.chosen.source > 0.6);
  CHECK(result.scales.size() == 10 * 2 * block_convolutions({.classes = 4, .width = 8}).size());
  for (const ScalePoint& point : result.scales) {
    CHECK(point.disorder >= 0);
    CHECK(point.disorder <= 1);
    CHECK(point.frozen == (point.disorder < 0.5));
  }
}

TEST_CASE("a run depends on its seed and not on the number of threads") {
  const DomainImages set = striped_domains(40, 16, 1);
  const auto loss = [&](int threads, std::uint64_t seed) {
    const ThreadScope scope(threads);
    GeneralizeOptions options = short_run();
    options.policy = "gaqat:window=4";
    options.seed = seed;
    return generalize(set, options).curve.back().loss;
  };
  const double one = loss(1, 1);
  CHECK(loss(3, 1) == one);
  CHECK(loss(1, 2) != one);
}

TEST_CASE("options that do not fit together are refused") {
  const DomainImages set = striped_domains(8, 16, 1);
  const auto refuses = [&](GeneralizeOptions options, const char* why) {
    CHECK_THROWS_WITH_AS(generalize(set, options), doctest::Contains(why), Error);
  };
  refuses({.target = 2}, "target 2, expected 0 to 1");
  refuses({.bits = 1}, "1 bits, expected 2 to 8");
  refuses({.policy = "gaqat"}, "policy gaqat with 0 bits, expected 2 to 8 bits");
  refuses({.bits = 4, .policy = "sam"}, "'sam', expected gaqat, sagm");
  refuses({.width = 12}, "a multiple of 8");
  refuses({.steps = 0}, "from 1 on");
}

TEST_CASE("images of domains are read back, and a file of other tensors is refused") {
  const TemporaryFolder folder;
  const auto file = folder.path / "images.safetensors";
  const auto write = [&](std::vector<std::int64_t> shape, const std::string& domains) {
    const std::vector<std::byte> pixels(static_cast<std::size_t>(2 * 3 * 4 * 4), std::byte{7});
    const std::vector<std::byte> ids{std::byte{0}, std::byte{1}};
    const OwnedTensor tensors[] = {own_bytes("domains", DType::u8, {2}, ids),
                                   own_bytes("images", DType::u8, std::move(shape), pixels),
                                   own_bytes("labels", DType::u8, {2}, ids)};
    const TensorView views[] = {tensors[0].view(), tensors[1].view(), tensors[2].view()};
    write_safetensors(file, views, {{"domains", domains}});
  };
  write({2, 3, 4, 4}, "photo,sketch");
  const DomainImages set = read_domain_images(file);
  CHECK(set.domain_names == std::vector<std::string>{"photo", "sketch"});
  CHECK(set.classes == 2);
  CHECK(set.images.eq(7).all().item<bool>());
  write({2, 3, 4, 4}, "photo");
  CHECK_THROWS_WITH_AS(read_domain_images(file), doctest::Contains("2 domains and 1 names"), Error);
  write({2, 3, 2, 8}, "photo,sketch");
  CHECK_THROWS_WITH_AS(read_domain_images(file), doctest::Contains("[n, 3, side, side]"), Error);
  write({96}, "photo,sketch");
  CHECK_THROWS_WITH_AS(read_domain_images(file), doctest::Contains("images of another"), Error);
}

}  // namespace
}  // namespace karat
