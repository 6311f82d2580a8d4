#include "helpers.h"
#include "lib/spec/load.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <set>

namespace semdns::spec {
namespace {

using testing::HasSubstr;
using testing::Not;

class Load : public InFolder {
protected:
  std::optional<Input> load(const std::string &text) {
    return loadSpecFile(write("h.txtpb", text), diags_);
  }
  std::string row(const std::string &text, const std::string &label) {
    return "{\"text\": \"" + text + "\", \"label\": \"" + label + "\"}\n";
  }
  Diagnostics diags_;
};

TEST_F(Load, LabelsOfAllKinds) {
  write("legal.jsonl", "{\"text\": \"own\"}\n" + row("rel", "Contracts") +
                           row("abs", "Legal/Contracts") + row("dns", "contracts.legal.") +
                           row("self", "Legal") + row("deep", "Contracts/Non_Disclosure"));
  write("all.jsonl", row("top", "code") + row("off", "oos") + row("root", "/"));
  auto input = load(R"(examples: "all.jsonl" root_label: "oos"
zone { name: "legal." examples: "legal.jsonl"
  zone { name: "contracts.legal." zone { name: "non-disclosure.contracts.legal." } } }
zone { name: "code." }
test { query: "q" zone: "contracts.legal." })");
  ASSERT_TRUE(input) << shown(diags_);
  const ZoneTree &tree = input->tree;
  ASSERT_EQ(tree.zones.size(), 5u);
  EXPECT_EQ(tree.zones[2].path, "Legal");
  EXPECT_EQ(tree.zones[4].path, "Legal/Contracts/Non_Disclosure");
  EXPECT_EQ(tree.zones[4].name, "non-disclosure.contracts.legal.");
  std::vector<uint32_t> zones;
  for (const LabelledExample &each : input->examples)
    zones.push_back(each.zone);
  EXPECT_EQ(zones, (std::vector<uint32_t>{1, 0, 0, 2, 3, 3, 3, 2, 4}));
  EXPECT_EQ(tree.zones[3].exampleCount, 3u);
  EXPECT_EQ(tree.zones[0].exampleCount, 2u);
  ASSERT_EQ(input->tests.size(), 1u);
  EXPECT_EQ(input->tests[0].zone, 3u);
  EXPECT_THAT(shown(diags_), HasSubstr("warning: 4 zones have fewer than 5 examples"));
}

TEST_F(Load, ErrorsOfAllFilesInOneRun) {
  write("bad.jsonl", row("a", "legal/contract") + row("b", "legal/contract") +
                         "{\"text\": \"\xff\", \"label\": \"legal\"}\n" + row("c", "code") +
                         "not json\n" + row("d", "legal"));
  write("empty.jsonl", "");
  write("binary.jsonl", std::string("\0\1\2\3", 4));
  EXPECT_FALSE(load(R"(nmae: "x"
zone { name: "legal." examples: "bad.jsonl" examples: "missing.jsonl"
  zone { name: "contracts.legal." keyword: "x" } }
zone { name: "code." examples: "empty.jsonl" corpus: "nowhere" patterns: "no.plib" }
zone { name: "science." examples: "binary.jsonl" }
zone { name: "void." zone { name: "a.void." } zone { name: "b.void." keyword: "k" } })"));
  const std::string all = shown(diags_);
  EXPECT_THAT(all, HasSubstr("unknown field 'nmae'"));
  EXPECT_THAT(all, HasSubstr("1:0: error: label 'legal/contract' has no zone (2 rows) | did you "
                             "mean 'legal/contracts'?"));
  EXPECT_THAT(all, HasSubstr("label 'code' is outside zone 'legal.'"));
  EXPECT_THAT(all, HasSubstr("3:"));
  EXPECT_THAT(all, HasSubstr("5:"));
  EXPECT_THAT(all, HasSubstr("missing.jsonl"));
  EXPECT_THAT(all, HasSubstr("empty.jsonl"));
  EXPECT_THAT(all, HasSubstr("binary.jsonl"));
  EXPECT_THAT(all, HasSubstr("corpus 'nowhere' does not exist"));
  EXPECT_THAT(all, HasSubstr("patterns 'no.plib' does not exist"));
  EXPECT_THAT(
      all,
      HasSubstr(
          "zone 'a.void.' has neither examples, corpus, patterns, keywords nor a description"));
  EXPECT_THAT(all, Not(HasSubstr("zone 'void.' has neither")));
  EXPECT_THAT(all, Not(HasSubstr("zone 'science.' has neither"))); // its file is the error
}

TEST_F(Load, CollidingAndContradictoryLabels) {
  write("x.jsonl", row("one", "Small Talk") + row("two", "small_talk") + row("one", "code"));
  EXPECT_FALSE(load("examples: \"x.jsonl\" zone { name: \"small-talk.\" } zone { name: \"code.\" "
                    "}"));
  EXPECT_THAT(shown(diags_), HasSubstr("2:0: error: labels 'Small Talk' and 'small_talk' collide: "
                                       "both are zone 'small-talk.'"));
  EXPECT_THAT(shown(diags_), HasSubstr("3:0: warning: text 'one' is labelled 'code' here and "
                                       "'Small Talk' at "));
}

TEST_F(Load, UnlabelledRowsAtTheTop) {
  write("x.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  EXPECT_FALSE(load("examples: \"x.jsonl\" zone { name: \"a.\" keyword: \"x\" }"));
  EXPECT_THAT(shown(diags_), HasSubstr("1:0: error: 2 rows have no label"));
}

TEST_F(Load, FromExamples) {
  const std::string a =
      write("a.jsonl", row("1", "Legal/Contracts") + row("2", "code/C++") + row("3", "oos") +
                           row("4", "what?") + row("5", "comp.sys/x") + row("6", "etc.") +
                           row("7", "-/_") + row("8", "a+b") + row("9", "a-b"));
  const std::string b = write("b.jsonl", row("8", "Legal") + row("9", "/"));
  auto input = loadFromExamples({a, b}, "oos", "n", diags_);
  ASSERT_TRUE(input) << shown(diags_);
  std::vector<std::string> names, paths;
  for (const Zone &zone : input->tree.zones) {
    names.push_back(zone.name);
    paths.push_back(zone.path);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{".", "\\045.", "\\045.\\045.", "a-b.", "a\\043b.", "code.",
                                      "c\\043\\043.code.", "comp\\.sys.", "x.comp\\.sys.",
                                      "etc\\..", "legal.", "contracts.legal.", "what\\063."}));
  EXPECT_EQ(paths,
            (std::vector<std::string>{"/", "-", "-/_", "a-b", "a+b", "code", "code/C++", "comp.sys",
                                      "comp.sys/x", "etc.", "Legal", "Legal/Contracts", "what?"}));
  ASSERT_EQ(input->examples.size(), 11u);
  EXPECT_EQ(input->examples[2].zone, 0u);
  EXPECT_EQ(input->examples[10].zone, 0u);

  // The dumped spec names the files and gives the same tree and examples.
  const std::string out = folder_ + "/sub.txtpb";
  const std::string dumped = dumpSpec(input->spec, out);
  EXPECT_THAT(dumped, HasSubstr("examples: \"a.jsonl\""));
  Diagnostics more;
  auto again = loadSpec(dumped, out, more);
  ASSERT_TRUE(again) << dumped << shown(more);
  ASSERT_EQ(again->tree.zones.size(), input->tree.zones.size());
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(again->tree.zones[i].name, names[i]);
    EXPECT_EQ(again->tree.zones[i].path, paths[i]);
  }
  ASSERT_EQ(again->examples.size(), input->examples.size());
  for (size_t i = 0; i < again->examples.size(); ++i)
    EXPECT_EQ(again->examples[i].zone, input->examples[i].zone);
}

TEST_F(Load, FromExamplesErrors) {
  const std::string a = write("a.jsonl", row("1", "A b/x") + row("2", "a_b/y") + row("3", "a//b") +
                                             "{\"text\": "
                                             "\"4\"}\n" +
                                             row("5", "oos/inner"));
  EXPECT_FALSE(loadFromExamples({a, a, folder_ + "/none.jsonl"}, "oos", "n", diags_));
  const std::string all = shown(diags_);
  EXPECT_THAT(all, HasSubstr("labels 'A b' and 'a_b' collide: both are zone 'a-b.'"));
  EXPECT_THAT(all, HasSubstr("label 'a//b' has an empty level"));
  EXPECT_THAT(all, HasSubstr("4:"));
  EXPECT_THAT(all, HasSubstr("given twice"));
  EXPECT_THAT(all, HasSubstr("none.jsonl"));
  EXPECT_THAT(all, HasSubstr("root label 'oos' has labels inside it"));
  Diagnostics only;
  const std::string b = write("b.jsonl", row("1", "oos"));
  EXPECT_FALSE(specFromExamples({b}, "oos", "n", only));
  EXPECT_THAT(shown(only), HasSubstr("no row has a label other than the root's"));
}

TEST_F(Load, PublicData) {
  const char *data = std::getenv("SEMDNS_DATA");
  const std::string routing = std::string(data ? data : "") + "/routing/";
  if (!data || !std::filesystem::exists(routing))
    GTEST_SKIP() << "SEMDNS_DATA names no folder with routing/*.train.jsonl";
  size_t files = 0;
  for (const auto &entry : std::filesystem::directory_iterator(routing)) {
    const std::string path = entry.path().string();
    if (path.find(".train.jsonl") == std::string::npos)
      continue;
    ++files;
    Diagnostics diags;
    auto input = loadFromExamples({path}, path.find("clinc150") != std::string::npos ? "oos" : "",
                                  "data", diags);
    ASSERT_TRUE(input) << path << "\n" << shown(diags);
    if (path.find("clinc150") != std::string::npos) {
      EXPECT_EQ(input->tree.zones.size(), 1u + 10 + 150);
      EXPECT_GT(input->examples.size(), 15000u);
    }
    const std::string out = folder_ + "/dump.txtpb";
    Diagnostics more;
    auto again = loadSpec(dumpSpec(input->spec, out), out, more);
    ASSERT_TRUE(again) << path << "\n" << shown(more);
    ASSERT_EQ(again->tree.zones.size(), input->tree.zones.size());
    for (size_t i = 0; i < input->tree.zones.size(); ++i) {
      EXPECT_EQ(again->tree.zones[i].name, input->tree.zones[i].name);
      EXPECT_EQ(again->tree.zones[i].path, input->tree.zones[i].path);
    }
  }
  EXPECT_GT(files, 0u);
}

} // namespace
} // namespace semdns::spec
