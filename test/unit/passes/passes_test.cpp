// From a model to the routing program: whatever canonicalisation and zone-to-route leave out,
// climbing and votes come to the same end as on the whole tree.
#include "dialects/route/route.h"
#include "dialects/zone/zone.h"
#include "lib/passes/import.h"
#include "lib/passes/passes.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/raw_ostream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace {

using namespace semdns;
using Random = std::mt19937_64;

struct Model {
  spec::ZoneTree tree;
  pack::RoutingModel routing;
};

uint32_t below(Random &random, uint32_t n) { return static_cast<uint32_t>(random() % n); }

void addSubtree(Model &model, Random &random, uint32_t parent, uint32_t depth) {
  auto number = static_cast<uint32_t>(model.tree.zones.size());
  spec::Zone zone;
  zone.depth = depth;
  if (depth != 0) {
    zone.parent = parent;
    zone.levels = model.tree.zones[parent].levels;
    zone.levels.push_back("z" + std::to_string(number));
  }
  model.tree.zones.push_back(zone);
  model.routing.acceptance.threshold.push_back(depth == 0 ? 0 : below(random, 4) * 16000);
  if (below(random, 3) == 0)
    model.routing.classZone.push_back(number);
  if (depth != 0)
    for (uint32_t n = below(random, 4) == 0 ? 1 + below(random, 3) : 0; n > 0; --n)
      model.routing.keywords.terms.push_back(
          {{random()}, "t" + std::to_string(random() % 5), number, 1 + below(random, 9)});
  if (depth < 5)
    for (uint32_t n = depth == 0 ? 3 : below(random, 3); n > 0; --n)
      addSubtree(model, random, number, depth + 1);
  model.tree.zones[number].subtreeEnd = static_cast<uint32_t>(model.tree.zones.size());
}

Model randomModel(uint64_t seed) {
  Random random(seed);
  Model model;
  addSubtree(model, random, 0, 0);
  pack::EmbeddingModel &e = model.routing.embedding;
  e.dim = 16;
  e.hashes = {0, 1};
  model.routing.keywords.acceptVotes = below(random, 3) == 0 ? 0xffffffffu : 2;
  model.routing.keywords.acceptPurity = below(random, 3) == 0 ? 0 : 40000;
  return model;
}

class Passes : public testing::Test {
protected:
  mlir::OwningOpRef<mlir::ModuleOp> import(const Model &model) {
    passes::ImportOptions options;
    options.name = "random";
    return passes::importModel(context, model.tree, model.routing, options);
  }
  mlir::OwningOpRef<mlir::ModuleOp> program(const Model &model) {
    auto module = import(model);
    mlir::PassManager pm(&context);
    pm.addPass(mlir::createCanonicalizerPass());
    pm.addPass(passes::createZoneToRoutePass());
    pm.addPass(mlir::createCanonicalizerPass());
    if (!module || mlir::failed(pm.run(*module)))
      return nullptr;
    return module;
  }
  template <typename Op> Op only(mlir::ModuleOp module) {
    Op found;
    module.walk([&](Op op) { found = op; });
    return found;
  }

  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  std::vector<std::string> messages;
  mlir::ScopedDiagnosticHandler handler{&context, [this](mlir::Diagnostic &diagnostic) {
                                          messages.push_back(diagnostic.str());
                                          return mlir::success();
                                        }};
};

TEST_F(Passes, ClimbsEndWhereTheyDoOnTheWholeTree) {
  size_t dead = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Model model = randomModel(seed);
    const auto &zones = model.tree.zones;
    const auto &homes = model.routing.classZone;
    auto module = program(model);
    ASSERT_TRUE(module) << "seed " << seed;
    auto climb = only<route::ClimbOp>(*module);
    ASSERT_EQ(static_cast<bool>(climb), !homes.empty()) << "seed " << seed;
    dead += messages.size();
    messages.clear();
    if (!climb)
      continue;
    Random random(seed);
    for (int round = 0; round < 50; ++round) {
      std::vector<uint64_t> weights(homes.size());
      uint64_t total = 0;
      for (uint64_t &w : weights)
        total += w = below(random, 3) == 0 ? below(random, 65537) : below(random, 500);
      weights[below(random, static_cast<uint32_t>(weights.size()))] += 65536;
      total += 65536;
      auto confidence = [&](size_t begin, size_t end) {
        uint64_t sum = 0;
        for (size_t k = begin; k < end; ++k)
          sum += weights[k];
        return sum * 65536 / total;
      };
      size_t best =
          static_cast<size_t>(std::max_element(weights.begin(), weights.end()) - weights.begin());
      uint32_t expected = homes[best];
      while (expected != 0) {
        auto begin = std::lower_bound(homes.begin(), homes.end(), expected) - homes.begin();
        auto end = std::lower_bound(homes.begin(), homes.end(), zones[expected].subtreeEnd) -
                   homes.begin();
        if (confidence(static_cast<size_t>(begin), static_cast<size_t>(end)) >=
            model.routing.acceptance.threshold[expected])
          break;
        expected = zones[expected].parent;
      }
      auto zone = static_cast<int32_t>(homes[best]);
      uint32_t moves = 0;
      while (zone != 0 && climb.getSteps() != 0) {
        auto z = static_cast<size_t>(zone);
        if (confidence(static_cast<size_t>(climb.getClassBegin()[z]),
                       static_cast<size_t>(climb.getClassEnd()[z])) >=
            model.routing.acceptance.threshold[z])
          break;
        zone = climb.getParents()[z];
        ++moves;
      }
      ASSERT_EQ(static_cast<uint32_t>(zone), expected) << "seed " << seed << " round " << round;
      ASSERT_LE(moves, climb.getSteps()) << "seed " << seed;
    }
  }
  EXPECT_GT(dead, 100u); // the short cut was there to be tested
}

TEST_F(Passes, AncestorsVotesAreAllCounted) {
  size_t tables = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Model model = randomModel(seed);
    auto module = program(model);
    ASSERT_TRUE(module);
    auto vote = only<route::VoteOp>(*module);
    auto program = only<route::ProgramOp>(*module);
    ASSERT_EQ(program.getTermCount(), model.routing.keywords.terms.size());
    ASSERT_EQ(static_cast<bool>(vote), program.getTermCount() != 0);
    if (!vote)
      continue;
    bool never = model.routing.keywords.acceptVotes == 0xffffffffu;
    EXPECT_EQ(never, !only<route::AcceptVotesOp>(*module));
    if (never || model.routing.keywords.acceptPurity == 0) {
      EXPECT_FALSE(vote.getParents()); // nobody asks
      continue;
    }
    std::vector<uint32_t> votes(model.tree.zones.size());
    for (const pack::Term &term : model.routing.keywords.terms)
      votes[term.zone] += term.weight;
    for (uint32_t winner = 0; winner < votes.size(); ++winner) {
      if (votes[winner] == 0)
        continue;
      uint32_t expected = 0, counted = votes[winner];
      for (uint32_t z = winner; z != spec::kNone; z = model.tree.zones[z].parent)
        expected += votes[z];
      if (vote.getParents())
        for (int32_t z = (*vote.getParents())[winner]; z >= 0;
             z = (*vote.getParents())[static_cast<size_t>(z)])
          counted += votes[static_cast<size_t>(z)];
      ASSERT_EQ(counted, expected) << "seed " << seed << " zone " << winner;
    }
    tables += vote.getParents().has_value();
  }
  EXPECT_GT(tables, 20u);
}

TEST_F(Passes, ImportShowsTheHeaviestTermsAndCountsTheRest) {
  Model model;
  model.tree.zones.resize(2);
  model.tree.zones[0].subtreeEnd = 2;
  model.tree.zones[1].parent = 0;
  model.tree.zones[1].levels = {"comp.sys & more"}; // what label files may hold
  model.tree.zones[1].subtreeEnd = 2;
  model.routing.acceptance.threshold = {0, 5};
  for (uint32_t i = 0; i < 20; ++i)
    model.routing.keywords.terms.push_back({{i + 1}, "w" + std::to_string(i), 1, i + 1});
  auto module = import(model);
  ASSERT_TRUE(module);
  EXPECT_EQ(only<zone::ZoneOp>(*module).getLabel(), "");
  bool found = false;
  module->walk([&](zone::ZoneOp op) { found |= op.getLabel() == "comp\\.sys\\032\\038\\032more"; });
  EXPECT_TRUE(found);
  auto terms = only<zone::TermsOp>(*module);
  ASSERT_TRUE(terms);
  EXPECT_EQ(terms.getCount(), 4u);
  std::vector<uint32_t> weights;
  module->walk([&](zone::KeywordOp op) { weights.push_back(op.getWeight()); });
  ASSERT_EQ(weights.size(), 16u);
  EXPECT_EQ(weights.front(), 20u);
  EXPECT_EQ(weights.back(), 5u);
}

TEST_F(Passes, ImportRefusesModelsThatDoNotFitTheTree) {
  auto refused = [&](Model model, const char *why) {
    messages.clear();
    EXPECT_FALSE(import(model)) << why;
    ASSERT_FALSE(messages.empty()) << why;
    EXPECT_NE(messages.front().find(why), std::string::npos) << messages.front();
  };
  Model good;
  for (uint64_t seed = 1; good.routing.classZone.empty() || good.routing.keywords.terms.empty();
       ++seed)
    good = randomModel(seed);
  ASSERT_TRUE(import(good));
  Model bad = good;
  bad.routing.classZone.back() = static_cast<uint32_t>(bad.tree.zones.size());
  refused(bad, "which does not exist or has a class already");
  bad = good;
  bad.routing.keywords.terms.back().zone = 9999;
  refused(bad, "belongs to zone 9999, which does not exist");
  bad = good;
  bad.routing.embedding.dim = 24;
  refused(bad, "must be a multiple of 16");
  bad = good;
  bad.tree.zones.back().engines = {{3, 1}};
  refused(bad, "names an engine that does not exist");
  bad = good;
  bad.tree.zones.back().parent = 9999;
  refused(bad, "comes before its parent");
}

TEST_F(Passes, AcceptanceLeavesNoTrace) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    auto text = [&](const Model &model) {
      std::string out;
      llvm::raw_string_ostream stream(out);
      program(model)->print(stream);
      return out;
    };
    Model model = randomModel(seed), other = model;
    for (uint32_t &threshold : other.routing.acceptance.threshold)
      threshold = threshold ? 65536 - threshold : 0;
    other.routing.acceptance.rootOdds = 99;
    other.routing.guard = {40000, 5, -5};
    EXPECT_EQ(text(model), text(other));
  }
}

TEST_F(Passes, SameModelSameText) {
  auto text = [&] {
    std::string out;
    llvm::raw_string_ostream stream(out);
    program(randomModel(7))->print(stream);
    return out;
  };
  EXPECT_EQ(text(), text());
}

} // namespace
