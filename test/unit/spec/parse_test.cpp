#include "helpers.h"
#include "lib/spec/tree.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <random>

namespace semdns::spec {
namespace {

using testing::HasSubstr;

std::string errorsOf(const std::string &text) {
  Diagnostics diags;
  EXPECT_FALSE(parseSpec(text, "h.txtpb", diags)) << text;
  EXPECT_GT(diags.errorCount(), 0u);
  for (const Diagnostic &each : diags.all())
    EXPECT_EQ(each.where.file, "h.txtpb");
  return shown(diags);
}

const char *const kDesign = R"(# as in the design
name: "demo"  serial: 2026112301  risk { alpha: 0.05 delta: 0.1 }
engine { name: "legal-7b" tier: SUBDOMAIN max_context: 32768 cost_per_mtok: 0.4 region: "eu" }
engine { name: "legal-7b-b" tier: SUBDOMAIN }
engine { name: "legal-13b" tier: DOMAIN }
zone { name: "legal." ttl: 600 engine: "legal-13b" patterns: "legal.plib" examples: "legal.jsonl" restricted: true
  zone { name: "contracts.legal." keyword: "indemnity" share { engine: "legal-7b" weight: 3 } share { engine: "legal-7b-b" } fallback: "legal-13b" }
  zone { name: "caselaw.legal." keyword: ["stare decisis", "obiter" ' dictum'] ttl: 0 } }
zone < name: "code." keyword: "pointer"; description: "programs", shareable: true corpus: "src" >
test { query: "Is a verbal NDA enforceable in Texas?" zone: "contracts.legal." }
)";

TEST(Parse, Design) {
  Diagnostics diags;
  auto spec = parseSpec(kDesign, "dir/h.txtpb", diags);
  ASSERT_TRUE(spec) << shown(diags);
  EXPECT_EQ(spec->name, "demo");
  EXPECT_EQ(spec->serial, 2026112301u);
  EXPECT_EQ(spec->delta, 0.1);
  EXPECT_EQ(spec->root.zones[0].examples[0].path, "dir/legal.jsonl");
  EXPECT_EQ(spec->root.zones[0].where.line, 6u);
  EXPECT_EQ(spec->root.zones[0].where.column, 14u);
  ASSERT_EQ(spec->tests.size(), 1u);

  const ZoneTree tree = buildTree(*spec);
  ASSERT_EQ(tree.zones.size(), 5u);
  ASSERT_EQ(tree.engines.size(), 3u);
  EXPECT_EQ(tree.engines[1].name, "legal-7b");
  EXPECT_EQ(tree.engines[1].costPerMtokNano, 400000000u);
  const char *names[] = {".", "code.", "legal.", "caselaw.legal.", "contracts.legal."};
  const char *paths[] = {"/", "code", "legal", "legal/caselaw", "legal/contracts"};
  const uint32_t parents[] = {kNone, 0, 0, 2, 2}, ends[] = {5, 2, 5, 4, 5},
                 depths[] = {0, 1, 1, 2, 2}, ttls[] = {3600, 3600, 600, 0, 600},
                 flags[] = {0, 2, 1, 1, 1};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(tree.zones[i].name, names[i]);
    EXPECT_EQ(tree.zones[i].path, paths[i]);
    EXPECT_EQ(tree.zones[i].parent, parents[i]);
    EXPECT_EQ(tree.zones[i].subtreeEnd, ends[i]);
    EXPECT_EQ(tree.zones[i].depth, depths[i]);
    EXPECT_EQ(tree.zones[i].ttl, ttls[i]);
    EXPECT_EQ(tree.zones[i].flags, flags[i]);
  }
  ASSERT_EQ(tree.zones[3].engines.size(), 1u); // inherited
  EXPECT_EQ(tree.zones[3].engines[0].engine, 0u);
  ASSERT_EQ(tree.zones[4].engines.size(), 3u);
  EXPECT_EQ(tree.zones[4].engines[0].weight, 3u);
  EXPECT_EQ(tree.zones[4].engines[2].engine, 0u); // the fallback comes last
  EXPECT_EQ(tree.zones[3].keywords[1], "obiter dictum");
}

TEST(Parse, EncoderRiskAndFiles) {
  Diagnostics diags;
  const auto spec = parseSpec(R"(risk { alpha: 0.02 per_zone: true }
encoder { path: "minilm" layers: 3 finetune: true }
unlabelled: "logs.jsonl" calibration: "cal.jsonl"
zone { name: "a." description: "things that begin with a" }
)",
                              "folder/tree.txtpb", diags);
  ASSERT_TRUE(spec);
  EXPECT_TRUE(spec->perZone);
  ASSERT_TRUE(spec->encoder.folder);
  EXPECT_EQ(spec->encoder.folder->path, "folder/minilm");
  EXPECT_EQ(spec->encoder.layers, 3u);
  EXPECT_TRUE(spec->encoder.finetune);
  ASSERT_EQ(spec->unlabelled.size(), 1u);
  EXPECT_EQ(spec->calibration.at(0).path, "folder/cal.jsonl");
  const auto again = parseSpec(dumpSpec(*spec, "folder/tree.txtpb"), "folder/tree.txtpb", diags);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->perZone && again->encoder.finetune && again->encoder.layers == 3);
  EXPECT_EQ(again->encoder.folder->path, spec->encoder.folder->path.substr(0)); // same file
  EXPECT_EQ(again->unlabelled.size() + again->calibration.size(), 2u);
}

TEST(Parse, OneRunReportsAll) {
  const std::string all = errorsOf(R"(nmae: "demo"
risk { alpha: 1.0 delta: -0.1 }
encoder { layers: 6 }
engine { name: "legal-7b" tear: DOMAIN }
zone { name: "legal." keywrd: "x" engine: "legal-7" ttl: 90000
	zone { name: "contracts.medical." keyword: "a" }
  zone { name: "caselaw" keyword: "b" share { engine: "legal-7b" weight: 0 } }
}
zone { name: "Legal." keyword: "c" }
zone { name: "legal." keyword: "d" }
test { query: "q" zone: "legl." }
)");
  EXPECT_THAT(all, HasSubstr("1:1: error: unknown field 'nmae' in a hierarchy | did you mean "
                             "'name'?"));
  EXPECT_THAT(all, HasSubstr("2:15: error: 'alpha' is outside (0, 1)"));
  EXPECT_THAT(all, HasSubstr("2:26: error: 'delta' is outside (0, 1)"));
  EXPECT_THAT(all, HasSubstr("3:1: error: encoder without a path"));
  EXPECT_THAT(all, HasSubstr("4:27: error: unknown field 'tear' in engine { } | did you mean "
                             "'tier'?"));
  EXPECT_THAT(all, HasSubstr("5:23: error: unknown field 'keywrd'"));
  EXPECT_THAT(all, HasSubstr("5:43: error: unknown engine 'legal-7' | did you mean 'legal-7b'?"));
  EXPECT_THAT(all, HasSubstr("5:58: error: 'ttl' is 90000 seconds"));
  EXPECT_THAT(all, HasSubstr("6:15: error: zone 'contracts.medical.' is outside its parent "
                             "'legal.' | move it into the zone its name says; or did you mean "
                             "'contracts.legal.'?")); // a tab is one byte
  EXPECT_THAT(all, HasSubstr("7:16: error: zone name 'caselaw' has no final dot | names are "
                             "written in full: did you mean 'caselaw.legal.'?"));
  EXPECT_THAT(all, HasSubstr("7:74: error: 'weight' is 0"));
  EXPECT_THAT(all, HasSubstr("9:14: error: zone name 'Legal.' holds 'L' | a level has a-z, 0-9 "
                             "and '-'; did you mean 'legal.'?"));
  EXPECT_THAT(all, HasSubstr("10:14: error: zone 'legal.' is declared twice | the first is at "
                             "line 5, column 14"));
  EXPECT_THAT(all, HasSubstr("11:25: error: test expects zone 'legl.', which does not exist | did "
                             "you mean 'legal.'?"));
}

TEST(Parse, Values) {
  EXPECT_THAT(errorsOf("zone { name: legal. keyword: \"x\" }"),
              HasSubstr("1:14: error: 'name' takes a string in quotes, found 'legal' | write name: "
                        "\"legal\""));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: \"x\" ttl: 1h }"),
              HasSubstr("'ttl' takes a whole number, found '1h'"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: \"x\" ttl: \"5\" }"),
              HasSubstr("'ttl' takes a whole number"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: \"x\" ttl: 99999999999 }"),
              HasSubstr("'ttl' is out of range"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: \"x\" ttl: -1 }"),
              HasSubstr("'ttl' is negative"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: \"x\" restricted: yes }"),
              HasSubstr("'restricted' takes true or false, found 'yes'"));
  EXPECT_THAT(errorsOf("engine { name: \"e\" tier: domain } zone { name: \"a.\" keyword: \"x\" }"),
              HasSubstr("one of ROOT, DOMAIN, SUBDOMAIN, SPECIALIST, found 'domain'"));
  EXPECT_THAT(errorsOf("zone: \"legal.\""), HasSubstr("'zone' is a block | write zone { ... }"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword { } }"),
              HasSubstr("takes a string in quotes, found '{'"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" name: \"b.\" keyword: \"x\" }"),
              HasSubstr("'name' is given twice"));
  EXPECT_THAT(errorsOf("keyword: \"x\""), HasSubstr("'keyword' belongs inside zone { }"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: \"x\""),
              HasSubstr("'}' is missing at the end of the file | the block opened at line 1, "
                        "column 6 is not closed"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: \"x\" } }"), HasSubstr("closes nothing"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: [\"x\" \"y\", 3] }"), HasSubstr("found '3'"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\n"), HasSubstr("1:17: error: string literals"));
  EXPECT_THAT(errorsOf(""), HasSubstr("no zones"));
  EXPECT_THAT(errorsOf("zone { keyword: \"x\" }"), HasSubstr("zone without a name"));
  EXPECT_THAT(errorsOf("zone { name: \"b.a.\" keyword: \"x\" }"),
              HasSubstr("zone 'b.a.' has no parent: there is no zone 'a.'"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: \"x\" label: \"b\" }"),
              HasSubstr("label 'b' is no spelling of zone 'a.'"));
  EXPECT_THAT(errorsOf("engine { name: \"e\" } engine { name: \"e\" } zone { name: \"a.\" keyword: "
                       "\"x\" engine: \"e\" engine: \"e\" }"),
              testing::AllOf(HasSubstr("declared twice"), HasSubstr("named twice")));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: \"\xff\" }"),
              HasSubstr("1:29: error: not "
                        "valid UTF-8 at byte 29"));
  EXPECT_THAT(errorsOf("#\n\xff"), HasSubstr("2:1: error"));
  EXPECT_THAT(errorsOf("\xff"), HasSubstr("1:1: error"));
  EXPECT_THAT(errorsOf("zone { name: \"a.\" keyword: \"\\377\" }"), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(errorsOf(std::string("zone\0", 5)), HasSubstr("NUL"));
  EXPECT_THAT(errorsOf("root_label: \"a\" zone { name: \"a.\" keyword: \"x\" }"),
              HasSubstr("root label 'a' names zone 'a.'"));
}

TEST(Parse, RootZoneByteOrderMarkAndCrLf) {
  Diagnostics diags;
  auto spec =
      parseSpec("\xEF\xBB\xBFname: \"x\"\r\nzone { name: \".\" ttl: 60 engine: \"e\" zone { "
                "name: \"a.\" keyword: \"k\" } }\r\nzone { name: \"b.\" keyword: \"k\" }\r\n"
                "engine { name: \"e\" }",
                "h", diags);
  ASSERT_TRUE(spec) << shown(diags);
  const ZoneTree tree = buildTree(*spec);
  ASSERT_EQ(tree.zones.size(), 3u);
  EXPECT_EQ(tree.zones[2].ttl, 60u);
  EXPECT_EQ(tree.zones[2].engines.size(), 1u);
}

TEST(Parse, ZonesMayBeWrittenFlat) {
  Diagnostics diags;
  auto spec = parseSpec("zone { name: \"b.a.\" keyword: \"x\" } zone { name: \"a.\" }", "h", diags);
  ASSERT_TRUE(spec) << shown(diags);
  const ZoneTree tree = buildTree(*spec);
  ASSERT_EQ(tree.zones.size(), 3u);
  EXPECT_EQ(tree.zones[2].parent, 1u);
}

TEST(Parse, DumpRoundTrip) {
  Diagnostics diags;
  auto spec = parseSpec(kDesign, "dir/h.txtpb", diags);
  ASSERT_TRUE(spec);
  const std::string text = dumpSpec(*spec, "dir/other.txtpb");
  auto again = parseSpec(text, "dir/other.txtpb", diags);
  ASSERT_TRUE(again) << text << shown(diags);
  EXPECT_EQ(dumpSpec(*again, "dir/other.txtpb"), text);
  const ZoneTree a = buildTree(*spec), b = buildTree(*again);
  ASSERT_EQ(a.zones.size(), b.zones.size());
  for (size_t i = 0; i < a.zones.size(); ++i) {
    EXPECT_EQ(a.zones[i].name, b.zones[i].name);
    EXPECT_EQ(a.zones[i].ttl, b.zones[i].ttl);
    EXPECT_EQ(a.zones[i].flags, b.zones[i].flags);
    EXPECT_EQ(a.zones[i].keywords, b.zones[i].keywords);
    EXPECT_EQ(a.zones[i].patterns, b.zones[i].patterns);
    EXPECT_EQ(a.zones[i].engines.size(), b.zones[i].engines.size());
  }
}

TEST(Parse, DeepNesting) {
  std::string text;
  for (int i = 0; i < 100000; ++i)
    text += "zone{";
  EXPECT_THAT(errorsOf(text), HasSubstr("nested more than 40 deep"));
  std::string name = "a.", spec = "zone { name: \"a.\" keyword: \"x\"", close = "}";
  for (int i = 0; i < 17; ++i) {
    name = "a." + name;
    spec += " zone { name: \"" + name + "\" keyword: \"x\"";
    close += "}";
  }
  EXPECT_THAT(errorsOf(spec + close), HasSubstr("is 17 levels deep"));
}

TEST(Parse, HierarchiesOfTheRepository) {
  const char *source = std::getenv("SEMDNS_SOURCE_DIR");
  const std::string folder = std::string(source ? source : "") + "/corpora/hierarchies";
  if (!source || !std::filesystem::exists(folder))
    GTEST_SKIP() << "SEMDNS_SOURCE_DIR names no folder with corpora/hierarchies";
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".txtpb")
      continue;
    Diagnostics diags;
    auto spec = parseSpecFile(entry.path().string(), diags);
    ASSERT_TRUE(spec) << entry.path() << "\n" << shown(diags);
    EXPECT_GT(buildTree(*spec).zones.size(), 1u);
  }
}

TEST(Parse, RandomBytes) {
  // Never a crash or a hang, and an error or a spec that dumps and parses again.
  std::mt19937 random(20261123);
  const std::string base = kDesign;
  const std::string pieces[] = {"{",  "}",  "[",  "]",    "<",    ">",       ":", "\"",
                                "'",  "\\", "-",  "zone", "name", "ttl",     "1", "0x",
                                ".5", "#",  "\n", ",",    "\t",   "\xC3\xA9"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    if (round % 3 == 0) {
      text.resize(random() % 200);
      for (char &c : text)
        c = char(random());
    } else if (round % 3 == 1) {
      for (size_t n = random() % 60; n > 0; --n)
        text += pieces[random() % std::size(pieces)];
    } else {
      text = base;
      for (size_t n = 1 + random() % 6; n > 0; --n) {
        const size_t at = random() % text.size();
        switch (random() % 3) {
        case 0:
          text[at] = char(random() % 128);
          break;
        case 1:
          text.erase(at, 1 + random() % 20);
          break;
        default:
          text.insert(at, pieces[random() % std::size(pieces)]);
        }
        if (text.empty())
          text = " ";
      }
    }
    Diagnostics diags;
    auto lenient = parseLeniently(text, "h.txtpb", diags);
    if (lenient)
      buildTree(*lenient);
    if (!diags.hasErrors()) {
      ASSERT_TRUE(lenient);
      Diagnostics more;
      const std::string dumped = dumpSpec(*lenient, "h.txtpb");
      ASSERT_TRUE(parseSpec(dumped, "h.txtpb", more)) << text << "\n" << dumped << shown(more);
    }
  }
}

} // namespace
} // namespace semdns::spec
