import NN
import Torch

// One layer and its gradient: enough to show that headers, libraries and the run-time path are found.
let layer: Linear = Linear(2, 1, bias: false)
let (_, gradients) = valueAndGrad(of: layer) { layer(Tensor([1, 2] as [Float], [1, 2])).sum() }
precondition(gradients[0].array(Float.self) == [1, 2], "the gradient of w·x is x")
print("a dependent package works with libtorch \(libtorchVersion)")
