// The sixteen values of IQ4_NL and IQ4_XS.
#pragma once

namespace karat::block {

inline constexpr float kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace karat::block
