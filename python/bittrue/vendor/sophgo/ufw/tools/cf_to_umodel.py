"""`python3 -m ufw.tools.cf_to_umodel`: a Caffe model as fp32umodel and test prototxt."""

if __name__ == "__main__":
    import sys

    from bittrue.cli.main import main

    main(["cf_to_umodel", *sys.argv[1:]])
