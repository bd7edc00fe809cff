// Small labelled images of several domains, for training that must carry over to a domain unseen.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "karat/torch.h"

namespace karat {

struct DomainImages {
  torch::Tensor images;           // U8 [n, 3, side, side]
  torch::Tensor labels, domains;  // I64 [n]
  std::vector<std::string> domain_names;
  std::int64_t classes = 0;
};

/// What tools/pacs.py writes: a safetensors file of `images`, and `labels` and `domains`, U8 [n],
/// with the domains' names, comma-separated, in its metadata. Throws Error on another file.
DomainImages read_domain_images(const std::filesystem::path& file);

/// Two domains made by rule: stripes of one of four directions. In the first they are bright on
/// dark, in the second dark on bright, noisy and of another period.
DomainImages striped_domains(std::int64_t per_domain, std::int64_t side, std::uint64_t seed);

/// Images as the network reads them, F32 in about −1 … 1.
torch::Tensor as_input(const torch::Tensor& images);

/// The same, each shifted by up to an eighth of its side, mirrored, made grey or brighter or darker
/// at random: of image i by the numbers of `seed` + i alone.
torch::Tensor augmented(const torch::Tensor& images, std::uint64_t seed);

}  // namespace karat
