// The part of LibTorch that Karat uses (tensors, autograd), with its own warnings kept out of ours.
// All of <torch/torch.h> would double the time that every source takes to compile. Only headers of
// the `karat` library include it.
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <torch/autograd.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>
#pragma GCC diagnostic pop
