import NN
import Torch

extension ParityCase {
    static let losses: [ParityCase] =
        LossReduction.allCases.flatMap(reduced) + [
            .function("cross_entropy_smooth") { crossEntropy($0[0], $0[1], labelSmoothing: 0.1) },
            .function("cross_entropy_ignore") { crossEntropy($0[0], $0[1], ignoredIndex: 2) },
            .function("cross_entropy_weighted") { crossEntropy($0[0], $0[1], weight: $0[2].detached()) },
            .function("cross_entropy_tokens") { crossEntropy($0[0].flattened(from: 0, to: 1), $0[1].flattened()) },
            .function("bce_logits_positive") { binaryCrossEntropyWithLogits($0[0], $0[1], positiveWeight: $0[2].detached()) },
            .function("info_nce") { infoNCELoss($0[0], $0[1], temperature: 0.2) },
            .function("info_nce_symmetric") { infoNCELoss($0[0], $0[1], temperature: 0.2, symmetric: true) },
            .function("cosine_similarity") { cosineSimilarity($0[0], $0[1], axis: 1) },
        ]

    private static func reduced(_ reduction: LossReduction) -> [ParityCase] {
        let losses: [(String, @Sendable ([Tensor]) -> Tensor)] = [
            ("cross_entropy", { crossEntropy($0[0], $0[1], reduction: reduction) }),
            ("nll", { negativeLogLikelihood($0[0], $0[1], reduction: reduction) }),
            ("mse", { meanSquaredError($0[0], $0[1], reduction: reduction) }),
            ("l1", { meanAbsoluteError($0[0], $0[1], reduction: reduction) }),
            ("smooth_l1", { smoothL1Loss($0[0], $0[1], beta: 0.7, reduction: reduction) }),
            ("huber", { huberLoss($0[0], $0[1], delta: 0.7, reduction: reduction) }),
            ("kl", { klDivergence($0[0], $0[1], reduction: reduction) }),
            ("kl_log", { klDivergence($0[0], $0[1], logTarget: true, reduction: reduction) }),
            ("bce", { binaryCrossEntropy($0[0], $0[1], reduction: reduction) }),
            ("bce_logits", { binaryCrossEntropyWithLogits($0[0], $0[1], reduction: reduction) }),
            ("cosine_embedding", { cosineEmbeddingLoss($0[0], $0[1], $0[2], margin: 0.1, reduction: reduction) }),
            ("triplet", { tripletMarginLoss(anchor: $0[0], positive: $0[1], negative: $0[2], margin: 2, reduction: reduction) }),
            ("cosine_distance", { cosineDistance($0[0], $0[1], reduction: reduction) }),
            ("contrastive", { contrastiveLoss($0[0], $0[1], same: $0[2], margin: 1.5, reduction: reduction) }),
        ]
        return losses.map { .function("\($0)_\(reduction)", $1) }
    }
}
