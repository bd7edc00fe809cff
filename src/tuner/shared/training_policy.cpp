#include "tuner/shared/training_policy.h"

namespace karat {

NamedPolicy make_training_policy(std::string_view text) {
  return make_named(training_policy_table(), "policy", text);
}

}  // namespace karat
