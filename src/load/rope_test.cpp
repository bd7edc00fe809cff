// Rope frequencies are those of transformers 5 (LlamaRotaryEmbedding.inv_freq).
#include <doctest/doctest.h>

#include <cmath>

#include "load/config_testing.h"

using namespace karat;
using namespace karat::testing;
using nlohmann::json;

TEST_CASE("rope scaling, spelt by both generations of transformers") {
  const std::vector<float> llama3 = {1.0f,
                                     0.193922758f,
                                     0.0105382307f,
                                     0.000911583134f,
                                     0.000176776681f,
                                     3.42810235e-05f,
                                     6.64786967e-06f,
                                     1.28917316e-06f};
  const std::string smooth = R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
                                "original_max_position_embeddings":256)";
  near(parse(with(kLlama, (R"({"rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3",)" +
                           smooth + "}}")
                              .c_str()))
           .ropes.at(0)
           .frequencies,
       llama3);
  near(parse(with(kLlama, (R"({"rope_parameters":{"rope_theta":500000,"rope_type":"llama3",)" +
                           smooth + "}}")
                              .c_str()))
           .ropes.at(0)
           .frequencies,
       llama3);

  const std::vector<float> linear = {0.25f,           0.079056941f,   0.0250000004f,
                                     0.00790569466f,  0.00249999994f, 0.000790569466f,
                                     0.000250000012f, 7.90569466e-05f};
  near(parse(with(kLlama, R"({"rope_scaling":{"type":"linear","factor":4.0}})"))
           .ropes.at(0)
           .frequencies,
       linear);
  near(parse(with(kLlama, R"({"rope_parameters":{"rope_type":"linear","factor":4.0}})"))
           .ropes.at(0)
           .frequencies,
       linear);
  CHECK(parse(with(kLlama, R"({"rope_scaling":null})")).ropes.at(0).frequencies ==
        parse(with(kLlama, R"({"rope_parameters":{"rope_theta":10000,"rope_type":"default"}})"))
            .ropes.at(0)
            .frequencies);
}

TEST_CASE("a rope type that is null leaves the word to the older key; both may say the same") {
  const auto scaled = [](const char* scaling) { return parse(with(kLlama, scaling)); };
  const auto plain = scaled(R"({"rope_scaling":{"type":"linear","factor":4}})");
  for (const char* both :
       {R"({"rope_scaling":{"type":"linear","rope_type":null,"factor":4}})",
        R"({"rope_scaling":{"type":"linear","rope_type":"linear","factor":4}})"}) {
    CHECK(scaled(both).ropes.at(0).frequencies == plain.ropes.at(0).frequencies);
    CHECK(scaled(both).warnings.empty());
  }
}

TEST_CASE("yarn: what transformers makes of truncate, mscale and attention_factor") {
  const auto yarn = [](const char* changes) {
    const json rope = with(json::parse(R"({"rope_type":"yarn","factor":4.0,"rope_theta":10000.0,
                                           "original_max_position_embeddings":512})"),
                           changes);
    json config = kLlama;
    config["rope_parameters"] = rope;
    return parse(config).ropes.at(0);
  };
  const Rope plain = yarn("{}");
  near(plain.frequencies, {1.0f, 0.25693506f, 0.0625f, 0.0138349654f, 0.00249999994f,
                           0.000790569466f, 0.000250000012f, 7.90569466e-05f});
  CHECK(plain.factor == doctest::Approx(1.138629436111989));
  const Rope other = yarn(R"({"factor":8.0,"original_max_position_embeddings":256,
      "rope_theta":500000.0,"truncate":false,"beta_fast":16,"beta_slow":2,"mscale":0.7,
      "mscale_all_dim":1.3})");
  near(other.frequencies, {1.0f, 0.136347115f, 0.00470075384f, 0.000911583134f, 0.000176776681f,
                           3.42810235e-05f, 6.64786967e-06f, 1.28917316e-06f});
  CHECK(other.factor == doctest::Approx(0.9017839869787123));
  CHECK(yarn(R"({"attention_factor":0.75,"mscale":1.0})").factor == 0.75f);
  CHECK(yarn(R"({"factor":0.5})").factor == 1);
  contains(refusal(with(kLlama, R"({"rope_scaling":{"type":"yarn","factor":-1}})")), "above 0");
  contains(refusal(with(kLlama, R"({"rope_theta":1,"rope_scaling":{"type":"yarn","factor":2}})")),
           "finite");
}

TEST_CASE("rope types that say the same as none within the context and of text") {
  const auto none = parse(kLlama).ropes.at(0).frequencies;
  for (const char* type :
       {R"({"type":"dynamic","factor":4.0})", R"({"type":"mrope","mrope_section":[2,3,3]})",
        R"({"rope_type":"default","mrope_interleaved":true})"}) {
    json config = kLlama;
    config["rope_scaling"] = json::parse(type);
    CHECK(parse(config).ropes.at(0).frequencies == none);
    CHECK(parse(config).warnings.empty());
  }
}

TEST_CASE("longrope is computed within the old context, and says so") {
  json config = with(kLlama, R"({"max_position_embeddings":2048,"rope_scaling":{"type":"su",
      "original_max_position_embeddings":512,"short_factor":[1,2,1,2,1,2,1,2],
      "long_factor":[9,9,9,9,9,9,9,9]}})");
  const Architecture arch = parse(config);
  const auto plain = parse(kLlama).ropes.at(0).frequencies;
  for (std::size_t i = 0; i < plain.size(); ++i)
    CHECK(arch.ropes.at(0).frequencies.at(i) ==
          doctest::Approx(plain[i] / (i % 2 == 0 ? 1 : 2)).epsilon(1e-6));
  CHECK(arch.ropes.at(0).factor == doctest::Approx(std::sqrt(1 + std::log(4.0) / std::log(512.0))));
  CHECK(arch.max_positions == 512);
  REQUIRE(arch.warnings.size() == 1);
  contains(arch.warnings[0], "up to 512 tokens");
}

TEST_CASE("gemma3: ropes of both kinds of layers, spelt by both generations") {
  const json gemma = with(kLlama, R"({"model_type":"gemma3_text","sliding_window":4,"head_dim":16,
      "layer_types":["sliding_attention","full_attention"]})");
  const Architecture now = parse(with(gemma, R"({"rope_parameters":{
      "full_attention":{"rope_type":"linear","factor":8.0,"rope_theta":5000},
      "sliding_attention":{"rope_type":"default","rope_theta":300}}})"));
  const Architecture old = parse(with(gemma, R"({"rope_theta":5000,"rope_local_base_freq":300,
      "rope_scaling":{"rope_type":"linear","factor":8.0}})"));
  const Architecture silent = parse(gemma);
  for (const Architecture* arch : {&now, &old, &silent}) {
    CHECK(arch->blocks.at(0).rope == 1u);
    CHECK(arch->blocks.at(0).window == 4);
    CHECK(arch->blocks.at(1).rope == 0u);
    CHECK(arch->blocks.at(1).window == 0);
    CHECK(arch->warnings.empty());
  }
  for (const std::size_t rope : {0, 1})
    CHECK(now.ropes.at(rope).frequencies == old.ropes.at(rope).frequencies);
  CHECK(now.ropes.at(0).frequencies.at(0) == 0.125f);
  CHECK(now.ropes.at(1).frequencies.at(1) == doctest::Approx(std::pow(300, -0.125)));
  CHECK(silent.ropes.at(0).frequencies.at(1) == doctest::Approx(std::pow(1e6, -0.125)));
  CHECK(silent.ropes.at(1).frequencies.at(1) == doctest::Approx(std::pow(1e4, -0.125)));
}

TEST_CASE("rope that Karat does not compute is refused") {
  const auto scaled = [](const char* scaling) {
    return refusal(with(kLlama, (R"({"rope_scaling":)" + std::string(scaling) + "}").c_str()));
  };
  contains(scaled(R"({"factor":2,"rope_type":"proportional"})"),
           "expected default, linear, llama3, yarn, longrope, dynamic or mrope");
  contains(scaled(R"({"rope_type":"su"})"), "expected original_max_position_embeddings");
  contains(scaled(R"({"rope_type":"longrope","original_max_position_embeddings":64,
                      "short_factor":[1,2]})"),
           "a list of 8 numbers above 0");
  contains(scaled(R"({"rope_type":"linear"})"), "expected factor");
  contains(scaled(R"({"rope_type":"linear","factor":0})"), "above 0");
  contains(scaled(R"({"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4})"),
           "below high_freq_factor");
  contains(scaled(R"({"partial_rotary_factor":0.5})"), "whole heads");
  contains(scaled(R"({"full_attention":{"rope_theta":1}})"), "one set of rope parameters");
  contains(scaled("[]"), "an object or null");
  contains(refusal(with(kLlama, R"({"rope_theta":-1})")), "above 0");
  contains(refusal(with(kLlama, R"({"rope_theta":"x"})")), "finite number");
  contains(refusal(with(kLlama, R"({"rope_theta":1e-300,"head_dim":1024})")), "finite");
  contains(refusal(with(kLlama, R"({"head_dim":15})")), "even");
  contains(refusal(with(kLlama, R"({"head_dim":2147483646})")), "at most 65536");
}
