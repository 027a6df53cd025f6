terraform {
  # 1.11 brought write-only arguments: the generated password does not pass through the plan.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

# Region and credentials come from the environment, as for the AWS CLI.
provider "aws" {
  default_tags {
    tags = merge({ "yaks:cluster" = var.name }, var.tags)
  }
}
