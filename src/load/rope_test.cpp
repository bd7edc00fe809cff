// Rope frequencies are those of transformers 5 (LlamaRotaryEmbedding.inv_freq).
#include <doctest/doctest.h>

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

TEST_CASE("rope that Karat does not compute is refused") {
  const auto scaled = [](const char* scaling) {
    return refusal(with(kLlama, (R"({"rope_scaling":)" + std::string(scaling) + "}").c_str()));
  };
  for (const char* type : {"longrope", "su", "proportional"})
    contains(scaled(("{\"factor\":2,\"rope_type\":\"" + std::string(type) + "\"}").c_str()),
             "expected default, linear, llama3, yarn, dynamic or mrope");
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
