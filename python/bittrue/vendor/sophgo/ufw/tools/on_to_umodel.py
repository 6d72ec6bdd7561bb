"""`python3 -m ufw.tools.on_to_umodel`: a ONNX model as fp32umodel and test prototxt."""

if __name__ == "__main__":
    import sys

    from bittrue.cli.main import main

    main(["on_to_umodel", *sys.argv[1:]])
