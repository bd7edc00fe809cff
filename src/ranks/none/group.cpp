// Where LibTorch has no Gloo, or its headers are not installed: no rank but one that is alone.
#include "ranks/group.h"

#include "karat/error.h"

namespace karat {

struct Ranks::Group::Connections {};
class RankWatch {};

Ranks::Group::Group(const RanksOptions& options) : options_(options) {
  fail(
      "ranks", "a build without Gloo", "one with it",
      "install libgloo-dev, build again with a LibTorch that has c10d's Gloo; or unset WORLD_SIZE");
}
Ranks::Group::~Group() = default;
std::vector<torch::Tensor> Ranks::Group::exchange(const std::vector<torch::Tensor>& to) {
  return to;
}
void Ranks::Group::check() const {}
void Ranks::Group::leave(const std::string&) {}

}  // namespace karat
