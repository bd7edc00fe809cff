// format e2m1-daq: DAQ's 4-bit float (arXiv 2410.12187), whose smallest value is finer.
#include "format/shared/list.h"

namespace karat {

const Codec& e2m1_daq_codec() {
  static constexpr ListValues kValues = mirrored({0.0625f, 1, 1.5f, 2, 3, 4, 6});
  static const Codec codec = list_codec("e2m1-daq", kValues);
  return codec;
}

}  // namespace karat
