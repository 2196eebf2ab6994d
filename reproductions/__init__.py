"""One script per paper. Each runs by itself (`python -m reproductions.<paper>`) and through `ferrepro run <paper>`."""

PAPERS = ("cnn_13_epochs", "resnet50_xgboost", "resnet50v2_vit", "multitask_lightweight")
