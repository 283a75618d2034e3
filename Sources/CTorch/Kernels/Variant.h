// All kernels for one instruction set. The including file has set CT_LANES and CT_VARIANT and pushed the target attribute.

namespace ct::kernels::CT_VARIANT {

#include "Tile.h"
#include "Decay.h"
#include "Delta.h"
#include "Scan.h"
#include "StateSpace.h"
#include "Quantized.h"

inline void attention(const CTAttention &problem, bool backward, int64_t row, Arena &arena) {
    Head head(problem, row);
    switch (problem.kind) {
    case CTAttentionHeadDecay: return backward ? decayBackward<HeadDecay>(head, arena) : decayForward<HeadDecay>(head, arena);
    case CTAttentionChannelDecay: return backward ? decayBackward<ChannelDecay>(head, arena) : decayForward<ChannelDecay>(head, arena);
    case CTAttentionDelta: return backward ? deltaBackward(head, arena) : deltaForward(head, arena);
    }
}

inline void runAttention(const CTAttention &problem, bool backward, int64_t row, float *scratch) {
    Arena arena(scratch);
    attention(problem, backward, row, arena);
}

inline int64_t attentionScratch(const CTAttention &problem, bool backward) {
    Arena counting(nullptr);
    attention(problem, backward, 0, counting);
    return counting.count();
}

inline int64_t scanUnits(const CTSelectiveScan &problem, bool backward) {
    return problem.batch * (backward ? problem.groups : Lanes::blocks(problem));
}

// Forward: one vector of channels. Backward: a group of them, which has gradients of B and C of its own.
inline void runScan(const CTSelectiveScan &problem, bool backward, int64_t unit, float *scratch) {
    if (!backward) {
        Arena arena(scratch);
        return scanForward(Lanes(problem, unit % problem.batch, unit / problem.batch), arena);
    }
    int64_t group = unit / problem.batch, batch = unit % problem.batch, blocks = Lanes::blocks(problem);
    int64_t offset = unit * problem.length * problem.order;
    for (int64_t block = group * blocks / problem.groups; block < (group + 1) * blocks / problem.groups; block++) {
        Arena arena(scratch);
        scanBackward(Lanes(problem, batch, block), problem.bGradient + offset, problem.cGradient + offset, arena);
    }
}

inline int64_t scanScratch(const CTSelectiveScan &problem, bool backward) {
    Arena counting(nullptr);
    Lanes lanes(problem, 0, 0);
    if (backward)
        scanBackward(lanes, nullptr, nullptr, counting);
    else
        scanForward(lanes, counting);
    return counting.count();
}

inline void stateSpace(const CTStateSpace &problem, bool backward, int64_t unit, Arena &arena) {
    int64_t outer = unit / problem.features, feature = unit % problem.features;
    if (backward)
        stateSpaceBackward(problem, outer, feature, arena);
    else
        stateSpaceForward(System(problem, outer, feature), arena);
}

inline void runStateSpace(const CTStateSpace &problem, bool backward, int64_t unit, float *scratch) {
    Arena arena(scratch);
    stateSpace(problem, backward, unit, arena);
}

inline int64_t stateSpaceScratch(const CTStateSpace &problem, bool backward) {
    Arena counting(nullptr);
    stateSpace(problem, backward, 0, counting);
    return counting.count();
}

}  // namespace ct::kernels::CT_VARIANT

namespace ct::kernels {

const Table CT_TABLE = {
    CT_VARIANT::runAttention, CT_VARIANT::attentionScratch, CT_VARIANT::runScan, CT_VARIANT::scanScratch, CT_VARIANT::scanUnits,
    CT_VARIANT::runStateSpace, CT_VARIANT::stateSpaceScratch, CT_VARIANT::runQuantized, CT_VARIANT::quantizedUnits,
};

}  // namespace ct::kernels
