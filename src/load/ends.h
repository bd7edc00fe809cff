// The ends of a model, embedding and head: the matrices outside its blocks, which may be stored
// packed as linear layers are.
#pragma once

#include <string>
#include <vector>

#include "karat/architecture.h"

namespace karat {

/// Their tensors, [vocab, hidden]: the embedding's and, unless tied, the head's.
std::vector<std::string> ends_of(const Architecture& arch);

/// What a matrix is called where it is stored packed: its tensor's name without ".weight".
std::string layer_of(const std::string& weight);

}  // namespace karat
