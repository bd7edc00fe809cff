// Keys of config.json that no family reads.
#include <doctest/doctest.h>

#include "load/config_testing.h"

using namespace karat;
using namespace karat::testing;
using nlohmann::json;

TEST_CASE("keys that change nothing are passed over, those that nobody knows are told") {
  const auto warnings = [](const json& config) { return parse(config).warnings; };
  CHECK(warnings(kLlama).empty());
  CHECK(warnings(with(kLlama, R"({"architectures":["LlamaForCausalLM"],"torch_dtype":"float16",
    "dtype":"float16","use_cache":true,"transformers_version":"5.0","initializer_range":0.02,
    "attention_dropout":0.1,"pad_token_id":0,"_name_or_path":"x","_attn_implementation":"sdpa",
    "pretraining_tp":1,"quantization_config":{"any":1},"unheard_of":null})"))
            .empty());
  CHECK(warnings(with(kGpt2, R"({"n_ctx":16,"summary_type":"cls_index","resid_pdrop":0.1})"))
            .empty());
  const auto told = warnings(with(kLlama, R"({"zeal":{"a":1},"n_ctx":16,"rope_scaling":
    {"rope_type":"linear","factor":2,"beta":1,"theta":null}})"));
  REQUIRE(told.size() == 1);
  contains(told[0], "config.json says n_ctx, rope_scaling.beta, zeal, which Karat does not know");
}

TEST_CASE("every key that transformers writes for a family is read or harmless") {
  for (const auto& entry :
       std::filesystem::directory_iterator(KARAT_SOURCE_DIR "/tests/fixtures/families")) {
    CAPTURE(entry.path().string());
    CHECK(read_architecture(entry.path()).warnings.empty());
  }
}

TEST_CASE("a key that changes what is computed is refused where its family does not read it") {
  for (const char* change :
       {R"({"is_causal":false})", R"({"attn_logit_softcapping":50.0})", R"({"num_experts":8})",
        R"({"embedding_multiplier":12})", R"({"no_rope_layers":[1,0]})", R"({"clip_qkv":8})",
        R"({"use_bidirectional_attention":true})", R"({"rope_scaling":{"use_mrope":true}})"}) {
    const json changed = json::parse(change);
    const json& holder = changed.contains("rope_scaling") ? changed["rope_scaling"] : changed;
    contains(refusal(with(kLlama, change)), holder.begin().key() + " " + holder.begin()->dump());
  }
  const json neutral = with(kLlama, R"({"is_causal":true,"attn_logit_softcapping":null,
    "num_experts":0,"embedding_multiplier":1.0,"no_rope_layers":[1,1],"use_mrope":false,
    "add_cross_attention":false,"is_encoder_decoder":false})");
  CHECK(parse(neutral).warnings.empty());
}

TEST_CASE("layer types that a family does not read must say what it computes") {
  const char* full = R"({"layer_types":["full_attention","full_attention"]})";
  const char* mixed = R"({"layer_types":["full_attention","sliding_attention"]})";
  CHECK(parse(with(kLlama, full)).warnings.empty());
  contains(refusal(with(kLlama, mixed)), "layer_types");
  contains(refusal(with(kLlama, R"({"layer_types":["full_attention"]})")), "layer_types");
}
