"""Shapes of the inputs of published prototxts that do not state them, by the name of the file."""

SHAPES = {
    "examples__cifar10__cifar10_full_sigmoid_train_test_bn": {"data": (1, 3, 32, 32)},
    "examples__mnist__lenet_train_test": {"data": (1, 1, 28, 28)},
    "examples__mnist__mnist_autoencoder": {"data": (1, 1, 28, 28)},
    "examples__siamese__mnist_siamese": {"data": (2, 1, 28, 28)},
}
